//! The two manners of asking: lines, for serial lines, speech, braille and logs; and a screen. What is asked, in which order, and what
//! will do as an answer, is the same in both.

use cairn_installer::questions::Asks;

use super::linear::Linear;
use super::rich::Rich;
use crate::exit::Stopped;
use crate::terminal::{PLAIN, device, kernel_says};
use crate::ui::Ui;

/// What somebody says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Something that may be an answer.
    Answer(String),
    /// They want to go back.
    Back,
    /// They want to know more.
    Help,
}

/// A way to ask.
pub trait Manner {
    /// How to answer.
    fn introduction(&self) -> &'static str;
    /// Says what is asked, once.
    fn open(&self, title: &str, asks: &Asks);
    /// Lets somebody say something to it, as often as it takes. `prompt` is said where they type.
    ///
    /// # Errors
    /// Nobody answers any more.
    fn said(&self, asks: &Asks, prompt: &str) -> anyhow::Result<Said>;
    /// Says something that may be long.
    ///
    /// # Errors
    /// Nobody reads it any more.
    fn tell(&self, text: &str) -> anyhow::Result<()>;
    /// How wide a drawing may be.
    fn columns(&self) -> usize;
}

/// What there is to choose a manner by.
#[derive(Debug, Default)]
struct Place {
    /// Somebody has said it: `--rich`, `--plain`.
    said: Option<bool>,
    /// `TERM`.
    term: Option<String>,
    /// The terminal's device.
    device: Option<String>,
    /// Whether the kernel's command line asks for lines.
    kernel_plain: bool,
}

impl Place {
    /// Whether it is the screen. Lines suffice everywhere, so it must be certain that the cursor can be moved; over a serial line it is
    /// slow, and what is at its other end nobody knows.
    fn is_rich(&self) -> bool {
        let moves = self.term.as_deref().is_some_and(|term| !term.is_empty() && term != "dumb");
        let serial = !self.device.as_deref().is_some_and(|name| {
            let number = name.strip_prefix("pts/").or_else(|| name.strip_prefix("tty"));
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
        });
        moves && self.said.unwrap_or(!self.kernel_plain && !serial)
    }
}

/// Whether the terminal that we are at is a screen, for which more is drawn than lines.
pub fn is_screen(said: Option<bool>) -> bool {
    let term = std::env::var("TERM").ok();
    Place { said, term, device: device(), kernel_plain: kernel_says(PLAIN) }.is_rich()
}

/// The manner for the terminal that we are at.
pub fn choose<'u>(said: Option<bool>, ui: &'u Ui) -> Box<dyn Manner + 'u> {
    if is_screen(said) { Box::new(Rich::new(ui)) } else { Box::new(Linear::new(ui)) }
}

/// The end of a conversation that is nobody's any more.
pub fn nobody() -> anyhow::Error {
    Stopped("nobody answers any more").into()
}

/// The end of a conversation that somebody has ended.
pub fn stopped() -> anyhow::Error {
    Stopped("stopped").into()
}

/// What is said after Ctrl-C, wherever in the questions it comes.
pub const STOP: &str = "Stop? Nothing was written to any disk.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_for_terminals_whose_cursor_certainly_moves() {
        let of = |said, term: &str, device: &str, kernel_plain| {
            let (term, device) = (Some(term.to_string()), Some(device.to_string()));
            Place { said, term, device, kernel_plain }.is_rich()
        };
        assert!(of(None, "linux", "tty1", false) && of(None, "xterm-256color", "pts/12", false));
        for serial in ["ttyS0", "ttyAMA0", "hvc0", "ttyUSB1", "console", "tty", "pts/"] {
            assert!(!of(None, "vt220", serial, false), "{serial}");
            assert!(of(Some(true), "vt220", serial, false), "{serial}");
        }
        assert!(!of(None, "linux", "tty1", true) && of(Some(true), "linux", "tty1", true));
        assert!(!of(Some(false), "linux", "tty1", false));
        assert!(!of(Some(true), "dumb", "tty1", false) && !of(Some(true), "", "tty1", false));
        assert!(!Place::default().is_rich());
    }
}
