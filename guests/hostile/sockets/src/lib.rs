//! A filter that would connect: it imports `wasi:sockets`, so loading it is refused, by name.

use std::net::TcpStream;

weir_guest::export! {
    filter over process { name: text }
    keep |row| {
        row.name().is_some_and(|name| TcpStream::connect((name, 9)).is_ok())
    }
}
