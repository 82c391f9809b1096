//! Text that fits into a line of the terminal. What is too long would wrap, and a list that is drawn anew would leave its rest behind.
//! Pure.

use dialoguer::console::measure_text_width;

/// What stands for what was left out.
const LEFT_OUT: &str = "...";

/// Text of at most this many columns: of what is longer the middle goes, because the end of a disk's name tells it from others.
pub fn shortened(text: &str, columns: usize) -> String {
    if measure_text_width(text) <= columns {
        return text.into();
    }
    let Some(room) = columns.checked_sub(LEFT_OUT.len()) else { return LEFT_OUT[..columns].into() };
    let begin = beginning(text.chars(), room.div_ceil(2));
    let end: String = beginning(text.chars().rev(), room / 2).chars().rev().collect();
    format!("{begin}{LEFT_OUT}{end}")
}

/// The end of a text that fits into so many columns.
pub fn end_of(text: &str, columns: usize) -> String {
    beginning(text.chars().rev(), columns).chars().rev().collect()
}

/// So many of these characters as fit.
fn beginning(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let (mut taken, mut room) = (String::new(), columns);
    for c in chars {
        match room.checked_sub(measure_text_width(c.encode_utf8(&mut [0; 4]))) {
            Some(rest) => room = rest,
            None => break,
        }
        taken.push(c);
    }
    taken
}

/// Lines of at most this many columns, broken between words where there are some; each goes on where its beginning was indented to.
pub fn wrapped(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        if measure_text_width(line) <= columns {
            out.push_str(line);
        } else {
            broken(line, columns, &mut out);
        }
        out.push_str(end);
    }
    out
}

fn broken(line: &str, columns: usize, out: &mut String) {
    let indent: String = line.chars().take_while(|c| *c == ' ').take(columns / 2).collect();
    let mut at = indent.len();
    out.push_str(&indent);
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        let mut word = word.to_string();
        let mut width = measure_text_width(&word);
        if at > indent.len() {
            if at + 1 + width <= columns {
                out.push(' ');
                at += 1;
            } else {
                out.push('\n');
                out.push_str(&indent);
                at = indent.len();
            }
        }
        // One that no line has room for.
        while at + width > columns {
            let part = beginning(word.chars(), (columns - at).max(1));
            if part.is_empty() {
                break;
            }
            out.push_str(&part);
            out.push('\n');
            out.push_str(&indent);
            word.drain(..part.len());
            (at, width) = (indent.len(), measure_text_width(&word));
        }
        out.push_str(&word);
        at += width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_too_long_the_middle_goes() {
        let disk = "sda, 465.8G, Samsung SSD 870, serial S5Y1NJ0R";
        assert_eq!(shortened(disk, 45), disk);
        assert_eq!(shortened(disk, 36), "sda, 465.8G, Sams... serial S5Y1NJ0R");
        assert_eq!(shortened("abcdefgh", 7), "ab...gh");
        assert_eq!(
            (shortened("abcdef", 3), shortened("abcdef", 2), shortened("abc", 0)),
            ("...".into(), "..".into(), String::new())
        );
        // Two columns each.
        assert_eq!(shortened("日本語日本語", 9), "日...語");
        assert_eq!(
            (end_of("abcdef", 3), end_of("日本語", 3), end_of("ab", 5)),
            ("def".into(), "語".into(), "ab".into())
        );
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three\n  four five six\n", 9), "one two\nthree\n  four\n  five\n  six\n");
        assert_eq!(wrapped("a ABCDEFGHIJ b", 4), "a\nABCD\nEFGH\nIJ b");
        assert_eq!(wrapped("fits\n\n", 4), "fits\n\n");
        for columns in 1..12 {
            let text = wrapped("  a word, ABCDEFGHIJKL and more\n", columns);
            assert!(text.lines().all(|line| measure_text_width(line) <= columns), "{columns}: {text}");
        }
    }
}
