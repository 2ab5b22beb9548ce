// Draws the API's description. Text is only ever set as text.
"use strict";

const make = (name, text, className) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};

const table = (heads, rows) => {
  const drawn = make("table");
  const head = drawn.createTHead().insertRow();
  for (const title of heads) head.append(make("th", title));
  for (const row of rows) {
    const line = drawn.insertRow();
    for (const cell of row) line.insertCell().textContent = cell ?? "";
  }
  return drawn;
};

const trial = (path) => {
  const box = make("div");
  const button = make("button", "Ask it");
  const answer = make("pre");
  answer.hidden = true;
  button.addEventListener("click", async () => {
    answer.hidden = false;
    answer.textContent = "…";
    try {
      const response = await fetch(path);
      const text = await response.text();
      answer.textContent = `${response.status}\n${text.slice(0, 20000)}`;
    } catch (error) {
      answer.textContent = String(error);
    }
  });
  box.append(button, answer);
  return box;
};

const route = (method, path, about) => {
  const drawn = make("details");
  drawn.dataset.words = `${method} ${path} ${about.summary ?? ""} ${about.tags ?? ""}`.toLowerCase();
  const line = make("summary");
  line.append(make("span", method.toUpperCase(), "method"), make("code", path), ` ${about.summary ?? ""}`);
  const more = make("div");
  if (about.description) more.append(make("p", about.description));
  const parameters = about.parameters ?? [];
  if (parameters.length > 0) {
    more.append(make("h3", "Parameters"));
    more.append(table(["Name", "In", "Meaning"], parameters.map((p) => [p.name + (p.required ? " *" : ""), p.in, p.description])));
  }
  const body = about.requestBody?.content;
  if (body) more.append(make("h3", "Body"), make("pre", JSON.stringify(body, null, 2)));
  more.append(make("h3", "Answers"));
  more.append(table(["Status", "Meaning"], Object.entries(about.responses ?? {}).map(([status, r]) => [status, r.description])));
  if (method === "get" && !path.includes("{") && !path.endsWith("/events")) more.append(trial(path));
  drawn.append(line, more);
  return drawn;
};

const draw = (description) => {
  const main = document.getElementById("routes");
  main.replaceChildren();
  for (const tag of description.tags ?? []) {
    const section = make("section");
    section.append(make("h2", tag.description ?? tag.name));
    for (const [path, methods] of Object.entries(description.paths)) {
      for (const [method, about] of Object.entries(methods)) {
        if ((about.tags ?? []).includes(tag.name)) section.append(route(method, path, about));
      }
    }
    main.append(section);
  }
  document.getElementById("search").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const drawn of main.querySelectorAll("details")) {
      drawn.hidden = !words.every((word) => drawn.dataset.words.includes(word));
    }
  });
};

fetch("/openapi.json")
  .then((response) => response.json())
  .then(draw)
  .catch((error) => {
    document.getElementById("routes").textContent = `The description cannot be read: ${error}`;
  });
