//! What the words say of purgatory.

use plan::purgatory::Purgatory;

use super::request::Load;
use crate::kernel::digest::QUIET;

/// The first serial port of a PC.
const TTY_S0: u16 = 0x3f8;

/// Purgatory as the words want it.
pub(super) fn of(load: &Load) -> Purgatory<'static> {
    let words = &load.between;
    let port = words.serial.unwrap_or(TTY_S0);
    Purgatory {
        check: !load.no_checks,
        serial: words.console_serial.then(|| (port, words.baud.unwrap_or(0))),
        vga: words.console_vga,
        reset_vga: words.reset_vga,
        pause: words.pause.unwrap_or(QUIET.pause),
        ..QUIET
    }
}
