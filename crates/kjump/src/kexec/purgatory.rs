//! Purgatory, as the options describe it.

use plan::purgatory::Purgatory;

use super::request::Load;
use crate::kernel::digest::QUIET;

/// The first serial port of a PC.
const TTY_S0: u16 = 0x3f8;

/// The purgatory for a load.
pub(super) fn of(load: &Load) -> Purgatory<'static> {
    let options = &load.for_purgatory;
    let port = options.serial.unwrap_or(TTY_S0);
    Purgatory {
        check: !load.no_checks,
        serial: options.console_serial.then(|| (port, options.baud.unwrap_or(0))),
        vga: options.console_vga,
        reset_vga: options.reset_vga,
        pause: options.pause.unwrap_or(QUIET.pause),
        ..QUIET
    }
}
