//! Takes network interfaces down and up, as `ifconfig NAME down` does: `netdevice(7)`.
// UNSAFETY: two ioctls of a socket, each with the structure that netdevice(7) names for it.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use rustix::ioctl::{Opcode, Updater, ioctl};
use rustix::net::{AddressFamily, SocketType, socket};

const GET_FLAGS: Opcode = 0x8913;
const SET_FLAGS: Opcode = 0x8914;
/// Bit of the flags: the interface is up.
const UP: u16 = 1;

/// `struct ifreq` with the member `ifr_flags`.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Takes an interface down; whether it was up.
///
/// # Errors
/// There is no interface of this name, or the kernel refuses.
pub fn take_down(name: &str) -> io::Result<bool> {
    let old = change_flags(name, |flags| flags & !UP)?;
    Ok(old & UP != 0)
}

/// Brings an interface up.
///
/// # Errors
/// There is no interface of this name, or the kernel refuses.
pub fn bring_up(name: &str) -> io::Result<()> {
    change_flags(name, |flags| flags | UP).map(drop)
}

/// Changes an interface's flags; returns the flags it had.
fn change_flags(name: &str, change: impl FnOnce(u16) -> u16) -> io::Result<u16> {
    let mut request = Request { name: [0; 16], flags: 0, rest: [0; 22] };
    // The last byte ends the name.
    if name.len() >= request.name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, &from) in request.name.iter_mut().zip(name.as_bytes()) {
        *to = from;
    }
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)
        .or_else(|_| socket(AddressFamily::UNIX, SocketType::DGRAM, None))?;
    exchange::<GET_FLAGS>(&socket, &mut request)?;
    let old = request.flags;
    request.flags = change(old);
    exchange::<SET_FLAGS>(&socket, &mut request)?;
    Ok(old)
}

fn exchange<const NUMBER: Opcode>(socket: &OwnedFd, request: &mut Request) -> io::Result<()> {
    // SAFETY: both numbers take a `struct ifreq`, whose size and layout `Request` has.
    let request = unsafe { Updater::<NUMBER, Request>::new(request) };
    // SAFETY: as above; the structure is borrowed for writing until it returns.
    Ok(unsafe { ioctl(socket, request) }?)
}

const _: () = assert!(size_of::<Request>() == 40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        take_down("no-such-thing").unwrap_err();
        bring_up("no-such-thing").unwrap_err();
        take_down("a-name-that-is-longer-than-any").unwrap_err();
    }
}
