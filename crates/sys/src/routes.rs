//! The addresses and routes of all network interfaces, saved before interfaces go down and put back
//! when they are up again: `rtnetlink(7)`.
//!
//! An interface that goes down loses the routes through its gateways and, for IPv6, its addresses.
//! The kernel's own messages are kept, and sent back as requests.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};

/// `struct nlmsghdr`: length, type, flags, sequence number, port.
const HEADER: usize = 16;
/// Message types.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
/// Flags of requests.
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;

/// Most bytes of one answer; the kernel's are at most 32 KiB.
const LARGEST: usize = 1 << 16;
/// Most messages that are kept.
const MOST: usize = 100_000;

/// Addresses and routes, each as the kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    addresses: Vec<Vec<u8>>,
    routes: Vec<Vec<u8>>,
}

/// Saves what an interface that goes down loses. The kernel restores the rest by itself.
///
/// # Errors
/// The kernel's.
pub fn save() -> io::Result<Saved> {
    let socket = open()?;
    let addresses = dump(&socket, GET_ADDRESS, NEW_ADDRESS)?;
    let routes = dump(&socket, GET_ROUTE, NEW_ROUTE)?;
    Ok(Saved {
        addresses: addresses.into_iter().filter(|body| is_lost_address(body)).collect(),
        routes: routes.into_iter().filter(|body| is_set_route(body)).map(without_state).collect(),
    })
}

impl Saved {
    /// Puts everything back that is missing; the number of addresses and routes that cannot be.
    ///
    /// # Errors
    /// There is no socket for it.
    pub fn restore(&self) -> io::Result<usize> {
        let socket = open()?;
        let add = |kind, body: &Vec<u8>| request(&socket, kind, body).is_ok();
        let failed = self.addresses.iter().filter(|body| !add(NEW_ADDRESS, body)).count();
        let mut missing: Vec<&Vec<u8>> = self.routes.iter().collect();
        // A gateway must be reachable first, by another of the routes.
        loop {
            let before = missing.len();
            missing.retain(|body| !add(NEW_ROUTE, body));
            if missing.is_empty() || missing.len() == before {
                return Ok(failed + missing.len());
            }
        }
    }
}

/// A socket of `NETLINK_ROUTE`, which is number 0.
fn open() -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(5)))?;
    Ok(socket)
}

/// The bodies of all messages of this type.
fn dump(socket: &OwnedFd, get: u16, kind: u16) -> io::Result<Vec<Vec<u8>>> {
    // `struct rtmsg` is the longer of the two bodies; zeros are all families.
    send(socket, &message(get, REQUEST | DUMP, &[0; 12]), SendFlags::empty())?;
    let mut bodies = Vec::new();
    let mut buffer = vec![0; LARGEST];
    loop {
        let (_, length) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
        for (found, body) in messages(buffer.get(..length).unwrap_or(&buffer)) {
            match found {
                DONE => return Ok(bodies),
                ERROR => outcome(body)?,
                _ if found == kind && bodies.len() < MOST => bodies.push(body.to_vec()),
                _ => {}
            }
        }
    }
}

/// Sends a request and waits for its outcome. What is there already is a success.
fn request(socket: &OwnedFd, kind: u16, body: &[u8]) -> io::Result<()> {
    send(socket, &message(kind, REQUEST | CREATE | ACKNOWLEDGE, body), SendFlags::empty())?;
    let mut buffer = vec![0; LARGEST];
    loop {
        let (_, length) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
        let answer = buffer.get(..length).unwrap_or(&buffer);
        if let Some((_, body)) = messages(answer).find(|&(found, _)| found == ERROR) {
            return match outcome(body) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                outcome => outcome,
            };
        }
    }
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend_from_slice(body);
    message
}

/// The types and bodies of the messages in an answer.
fn messages(mut answer: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*answer.first_chunk()?)).ok()?;
        let kind = answer.get(4..)?.first_chunk().map(|&kind| u16::from_ne_bytes(kind))?;
        let body = answer.get(HEADER..length)?;
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, body))
    })
}

/// The number in an error message: 0, or the negative error.
fn outcome(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map(|&number| i32::from_ne_bytes(number)) {
        Some(0) => Ok(()),
        Some(number) => Err(io::Error::from_raw_os_error(number.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Whether an interface that goes down loses this address: `struct ifaddrmsg` starts with family,
/// prefix length, flags and scope.
fn is_lost_address(body: &[u8]) -> bool {
    const IPV6: u8 = 10;
    const PERMANENT: u8 = 0x80;
    const LINK: u8 = 253;
    const HOST: u8 = 254;
    matches!(*body, [IPV6, _, flags, scope, ..] if flags & PERMANENT != 0 && ![LINK, HOST].contains(&scope))
}

/// Whether a route was set by somebody else than the kernel: `struct rtmsg` starts with family,
/// lengths of destination and source, service, table, protocol, scope, type; flags follow.
fn is_set_route(body: &[u8]) -> bool {
    const BY_KERNEL: u8 = 2;
    const LAST_OF_USERS: u8 = 1;
    const BLACKHOLE_TO_PROHIBIT: std::ops::RangeInclusive<u8> = 6..=8;
    let Some(&[family, _, _, _, _, protocol, _, kind, flags @ ..]) = body.first_chunk::<12>() else {
        return false;
    };
    let is_copy = u32::from_ne_bytes(flags) & 0x200 != 0;
    let is_kind = kind == LAST_OF_USERS || BLACKHOLE_TO_PROHIBIT.contains(&kind);
    [2, 10].contains(&family) && protocol != BY_KERNEL && is_kind && !is_copy
}

/// The route without its state, which a request cannot set: dead, and without a carrier.
fn without_state(mut body: Vec<u8>) -> Vec<u8> {
    const STATE: u8 = 1 | 0x10;
    if let Some(flags) = body.get_mut(8) {
        *flags &= !STATE;
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_far_as_they_are_whole() {
        let two = [message(NEW_ROUTE, 0, &[1; 5]), vec![0; 3], message(DONE, 0, &[0; 4])].concat();
        let found: Vec<_> = messages(&two).collect();
        assert_eq!(found, [(NEW_ROUTE, [1; 5].as_slice()), (DONE, &[0; 4])]);
        for end in 0..two.len() {
            assert!(messages(&two[..end]).count() < 2);
        }
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(messages(&[0xff; 64]).count(), 0);
    }

    #[test]
    fn the_kernel_lists_addresses_and_routes() {
        let socket = open().unwrap();
        dump(&socket, GET_ADDRESS, NEW_ADDRESS).unwrap();
        let routes = dump(&socket, GET_ROUTE, NEW_ROUTE).unwrap();
        let saved = save().unwrap();
        assert!(saved.routes.len() <= routes.len());
    }

    #[test]
    fn routes_of_the_kernel_itself_are_left_to_it() {
        let route = |protocol, kind| [2, 0, 0, 0, 254, protocol, 0, kind, 0, 0, 0, 0];
        assert!(is_set_route(&route(4, 1)) && is_set_route(&route(3, 7)));
        assert!(!is_set_route(&route(2, 1)) && !is_set_route(&route(4, 2)));
        assert!(!is_set_route(&[]));
        assert!(is_lost_address(&[10, 64, 0x80, 0]) && !is_lost_address(&[10, 64, 0x80, 253]));
        assert!(!is_lost_address(&[2, 24, 0x80, 0]));
    }
}
