//! What a machine said on its serial console, for people to read.

/// How many lines an error or a result keeps.
const LINES: usize = 40;

/// The last lines as plain text: no colours, no cursor movements, no blank lines.
pub(crate) fn tail(bytes: &[u8]) -> String {
    let text = plain(&String::from_utf8_lossy(bytes));
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// The most of a line that is told.
const WIDTH: usize = 100;

/// The last line that is none of blanks, shortened; nothing where there is none.
pub(crate) fn last_words(bytes: &[u8]) -> Option<String> {
    // What is before the last screen of text is of no interest.
    let text = plain(&String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(8192)..]));
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.chars().take(WIDTH).collect())
}

/// Takes out terminal sequences (ECMA-48) and control characters; what positions the cursor begins a new line.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => match chars.next() {
                Some('[') => {
                    let end = chars.by_ref().find(|c| ('@'..='~').contains(c));
                    if matches!(end, Some('H' | 'f' | 'J')) && !out.ends_with('\n') {
                        out.push('\n');
                    }
                }
                Some(']' | 'P') => {
                    // A string: to its terminator, or BEL.
                    while let Some(c) = chars.next() {
                        if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                Some('(' | ')') => {
                    chars.next();
                }
                _ => {}
            },
            '\n' | '\t' => out.push(c),
            c if cairn_process::text::is_deceptive(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Words on the console after which waiting is useless, with what they mean.
const HOPELESS: [(&str, &str); 8] = [
    ("Kernel panic - not syncing", "the kernel panicked"),
    ("You are in emergency mode", "the machine is in emergency mode"),
    ("Cannot open access to console, the root account is locked", "the machine is in emergency mode"),
    ("Press Enter for maintenance", "the machine is in emergency mode"),
    ("UEFI Interactive Shell", "the firmware found nothing to boot"),
    ("BdsDxe: No bootable option or device was found", "the firmware found nothing to boot"),
    ("(initramfs) ", "the initrd gave up and opened a shell"),
    ("Freezing execution", "systemd gave up"),
];

/// Says whether the machine told that it will never get there, and how.
pub(crate) fn hopeless(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    HOPELESS.iter().find(|(words, _)| text.contains(words)).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_and_cursor_movements_are_gone() {
        let bytes = b"\x1b[2J\x1b[01;01Hfirst\x1b[0m\r\n\r\n[\x1b[0;32m  OK  \x1b[0m] done\x1b]0;title\x07.\r\n";
        assert_eq!(tail(bytes), "first\n[  OK  ] done.");
    }

    #[test]
    fn the_last_words_are_those_of_the_last_line() {
        assert_eq!(last_words(b"a\r\n\x1b[0m[ OK ] Started x.\r\n  \r\n").as_deref(), Some("[ OK ] Started x."));
        assert_eq!(last_words(b"\x1b[2J \n"), None);
        assert_eq!(last_words("\u{e4}".repeat(9000).as_bytes()).unwrap().chars().count(), WIDTH);
    }

    #[test]
    fn the_tail_is_the_end() {
        let all: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(tail(all.as_bytes()).starts_with("60\n") && tail(all.as_bytes()).ends_with("\n99"));
    }

    #[test]
    fn a_panic_is_hopeless() {
        assert_eq!(hopeless(b"[ 1.0] Kernel panic - not syncing: VFS"), Some("the kernel panicked"));
        assert_eq!(hopeless(b"hello login: "), None);
    }
}
