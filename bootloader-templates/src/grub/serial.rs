//! A serial line, as the kernel's `console=` names it.

use serde::Serialize;

/// A serial line for GRUB's menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Serial {
    /// 0 for `ttyS0`.
    pub unit: u8,
    /// Bits in a second.
    pub speed: u32,
    /// Bits in a character: 7 or 8.
    pub word: u8,
    /// The parity.
    pub parity: Parity,
}

/// A serial line's parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    /// None.
    No,
    /// Odd.
    Odd,
    /// Even.
    Even,
}

impl Serial {
    /// The line of a console such as `ttyS0`, `ttyS1,115200` or `ttyS0,9600n8`; none for what is no serial port of a PC.
    ///
    /// Without a speed it is 9600, as the kernel takes it.
    pub fn from_console(console: &str) -> Option<Serial> {
        let (name, options) = console.split_once(',').unwrap_or((console, ""));
        let unit = name.strip_prefix("ttyS")?;
        // GRUB knows the four ports that a PC's BIOS knows.
        let unit = unit.parse().ok().filter(|u| *u < 4 && unit.len() == 1)?;
        let digits = options.find(|c: char| !c.is_ascii_digit()).unwrap_or(options.len());
        let (speed, rest) = options.split_at(digits);
        let speed = if speed.is_empty() { 9600 } else { speed.parse().ok().filter(|s| *s > 0)? };
        let mut rest = rest.chars();
        let parity = match rest.next() {
            None | Some('n') => Parity::No,
            Some('o') => Parity::Odd,
            Some('e') => Parity::Even,
            Some(_) => return None,
        };
        let word = match rest.next() {
            None | Some('8') => 8,
            Some('7') => 7,
            Some(_) => return None,
        };
        Some(Serial { unit, speed, word, parity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_a_serial_line() {
        let line = |unit, speed, word, parity| Some(Serial { unit, speed, word, parity });
        for (console, expected) in [
            ("ttyS0", line(0, 9600, 8, Parity::No)),
            ("ttyS0,115200", line(0, 115_200, 8, Parity::No)),
            ("ttyS1,115200n8", line(1, 115_200, 8, Parity::No)),
            ("ttyS3,9600e7", line(3, 9600, 7, Parity::Even)),
            ("ttyS2,57600n8r", line(2, 57_600, 8, Parity::No)),
            ("tty0", None),
            ("ttyS", None),
            ("ttyS4", None),
            ("ttyS00", None),
            ("ttyAMA0,115200", None),
            ("ttyS0,99999999999", None),
            ("ttyS0,0", None),
            ("ttyS0,9600x", None),
            ("ttyUSB0", None),
        ] {
            assert_eq!(Serial::from_console(console), expected, "{console}");
        }
    }
}
