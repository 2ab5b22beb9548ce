//! What the kernel says of processes, read from `/proc` (see proc(5)). This is the independent
//! witness of the process faults: it does not go through the code that injected them.

mod sockets;
mod stat;

pub use sockets::{
    PortOwner, SocketEntry, connected_ports, listening_ports, parse_tcp_table, port_is_listened_on,
    port_owners,
};
pub use stat::{
    ExitInfo, ProcStat, ProcessIdentity, boot_id, group_members, parse_stat, read_stat,
};
