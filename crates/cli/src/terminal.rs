//! What the command says as a terminal may see it: no character of a stranger's gives orders to it.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use cairn_machine::Problem;
use cairn_process::text::{is_deceptive, one_line, plain};
use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use serde_json::{Value, json};

/// The terminal as it was before [`Reading`] or [`Keys`], as long as one of them is there.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Changes how the terminal reads. There is one change at a time.
fn change(with: impl FnOnce(&mut Termios)) -> io::Result<()> {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let now = termios::tcgetattr(io::stdin())?;
    let mut changed = now.clone();
    with(&mut changed);
    // First it is remembered: whoever ends us may do it at any moment.
    before.get_or_insert(now);
    Ok(termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &changed)?)
}

/// Brings the terminal back to what it was.
pub fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &before);
    }
}

/// A line is read in which Ctrl-C is no signal, as long as this is there: it ends the line, and is its last character. Were it a signal, it
/// would end the command without a question, and leave the terminal without what is typed.
pub struct Reading(());

/// Ctrl-C.
pub const INTERRUPT: char = '\u{3}';

impl Reading {
    /// Begins; unless it is `shown`, nothing of what is typed is.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn begin(shown: bool) -> io::Result<Reading> {
        change(|line| {
            line.local_flags.remove(LocalFlags::ISIG);
            if !shown {
                line.local_flags.remove(LocalFlags::ECHO);
            }
            line.control_chars[SpecialCharacterIndices::VEOL as usize] = INTERRUPT as u8;
        })?;
        Ok(Reading(()))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        restore();
    }
}

/// Each key is read as it is typed and not shown, Ctrl-C among them, as long as this is there; between two keys too, so that nothing that is
/// typed quickly appears among what is drawn. Whoever reads one changes the terminal for it, and changes it back to this.
pub struct Keys(());

impl Keys {
    /// Begins.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn begin() -> io::Result<Keys> {
        change(|keys| {
            keys.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG | LocalFlags::ICANON | LocalFlags::IEXTEN);
            keys.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
            keys.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        })?;
        Ok(Keys(()))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// The word on the kernel's command line that wants lines, and no bars and lists that are drawn anew.
pub const PLAIN: &str = "cairn.plain";

/// Whether the kernel's command line has a word.
pub fn kernel_says(word: &str) -> bool {
    std::fs::read_to_string("/proc/cmdline").is_ok_and(|line| line.split_whitespace().any(|one| one == word))
}

/// The columns of the terminal, where it says them: a serial line does not.
pub fn columns() -> Option<usize> {
    dialoguer::console::Term::stderr().size_checked().map(|(_, columns)| usize::from(columns))
}

/// The columns and rows of the terminal that standard error is, where it says them.
pub fn size() -> Option<(usize, usize)> {
    let (rows, columns) = dialoguer::console::Term::stderr().size_checked()?;
    Some((usize::from(columns), usize::from(rows))).filter(|(columns, rows)| *columns > 0 && *rows > 0)
}

/// Whether what is said, on standard error, is said to a terminal.
pub fn is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}

/// The device that standard input is, below /dev: `tty1`, `ttyS0`, `pts/0`.
pub fn device() -> Option<String> {
    let path = nix::unistd::ttyname(io::stdin()).ok()?;
    Some(path.strip_prefix("/dev").ok()?.to_str()?.to_string())
}

/// One event as a line: `event` first, then its fields.
pub fn event(name: &str, fields: Value) -> String {
    let mut object = serde_json::Map::new();
    object.insert("event".into(), json!(name));
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    escaped(Value::Object(object).to_string())
}

/// JSON as a terminal may see it: the format asks for escapes of the first 32 characters only.
pub fn escaped(json: String) -> String {
    if !json.chars().any(|c| is_deceptive(c) && c != '\n') {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_deceptive(c) && c != '\n' {
            // Outside of strings JSON has no such characters, so this is inside of one.
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// Says a line on standard error. One that is gone is no reason to stop the work.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", plain(text));
}

/// A problem of a machine file, as a line of its own: whatever the file is called.
pub fn problem_text(problem: &Problem) -> String {
    let Problem { file, line, column, message, help } = problem;
    let help = help.as_ref().map(|h| format!("\n  help: {h}")).unwrap_or_default();
    format!("{}:{line}:{column}: {message}{help}", one_line(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_for_a_terminal_is_the_same_json() {
        let value = json!({ "a\u{202e}": "\u{7f}\u{9b}31m\u{2028}\u{e0041}ä\n", "b": 1 });
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let escaped = escaped(text);
            assert!(!escaped.chars().any(|c| is_deceptive(c) && c != '\n'), "{escaped:?}");
            assert!(escaped.contains("\\u202e") && escaped.contains('ä'), "{escaped}");
            assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
        }
    }
}
