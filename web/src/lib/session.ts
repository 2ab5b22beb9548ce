// Who is signed in, and what that allows. The server decides; pages only hide what it would refuse.

import { signal } from "@preact/signals";
import { alone, ApiError, service, setCsrf } from "../api/client";
import type { Role, Session } from "../api/types";

/** Null until the server said it, and in a one-file report. */
export const session = signal<Session | null>(null);

/** Why the session is not known. */
export const sessionError = signal<ApiError | null>(null);

const RANK: Record<Role, number> = { read: 0, run: 1, admin: 2 };

/** Whether what needs this role may be offered. */
export function may(role: Role): boolean {
  const now = session.value;
  if (alone || now === null) return false;
  return now.open || (now.role !== null && RANK[now.role] >= RANK[role]);
}

/** Whether this browser may look but not act: it came by a share link or with a read token. */
export const onlyReads = (): boolean =>
  !alone && session.value !== null && !session.value.open && session.value.role === "read";

export async function loadSession(): Promise<void> {
  try {
    keep(await service.session());
  } catch (e) {
    sessionError.value = e instanceof ApiError ? e : new ApiError(0, "page", String(e), "Reload the page.");
  }
}

/** Signs in with a token; the server's refusal is thrown. */
export async function login(token: string): Promise<void> {
  keep((await service.login(token)) ?? (await service.session()));
}

export async function logout(): Promise<void> {
  await service.logout();
  await loadSession();
}

function keep(next: Session): void {
  session.value = next;
  sessionError.value = null;
  setCsrf(next.csrf ?? "");
}
