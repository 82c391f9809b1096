//! What the command says as a terminal may see it: no character of a stranger's gives orders to it.

use std::io::{self, Write};

use cairn_machine::Problem;
use cairn_process::text::{is_deceptive, one_line, plain};
use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use serde_json::{Value, json};

/// What is typed is not shown, as long as this is there. Ctrl-C ends the line, and is its last character: were it a signal, it would leave
/// the terminal like this.
pub struct Hidden(Termios);

/// Ctrl-C.
pub const INTERRUPT: char = '\u{3}';

impl Hidden {
    /// Hides it.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn begin() -> io::Result<Hidden> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
        hidden.control_chars[SpecialCharacterIndices::VEOL as usize] = INTERRUPT as u8;
        termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &hidden)?;
        Ok(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.0);
    }
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
