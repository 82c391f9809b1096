//! The page that says how an installation has failed. Pure.

use super::qr;
use crate::failure::Failure;
use crate::fit::{shortened, wrapped};

/// What a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its columns, and its rows.
    pub columns: usize,
    /// See there.
    pub rows: usize,
    /// Whether there is a QR code, and whether it may be of half blocks.
    pub code: Option<Halves>,
}

/// Whether the screen has half blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halves(pub bool);

/// How wide the words in front are, with what is behind them.
const LABEL: usize = 6;
/// The fewest columns that are left beside a code.
const BESIDE: usize = 30;
/// The rows that are not the page's: what stands before it, and the cursor's.
const OTHERS: usize = 2;
/// The most characters in a QR code of the third size, of its alphabet of 45.
const MOST: usize = 77;

/// The page. Without a place nothing is shortened or broken: it is for a log, or another program.
pub fn page(failure: &Failure, log: &[String], place: Option<Place>) -> String {
    let Some(place) = place else { return text(failure, log, usize::MAX, usize::MAX).join("\n") };
    let columns = place.columns.max(LABEL + 2) - 1;
    let rows = place.rows.saturating_sub(OTHERS).max(12);
    let code = |room, rows| place.code.and_then(|Halves(halves)| qr::drawn(&in_code(failure), halves, room, rows));
    // Beside the text it costs no rows.
    if let Some(code) = code(columns.saturating_sub(BESIDE + 2), rows) {
        let width = code.first().map_or(0, |line| line.chars().count());
        let left = columns - width - 2;
        let text = text(failure, log, left, rows);
        let lines = (0..text.len().max(code.len())).map(|at| {
            let (text, code) = (text.get(at).map_or("", String::as_str), code.get(at).map_or("", String::as_str));
            format!("{}{code}", padded(text, left + 2)).trim_end().to_string()
        });
        return lines.collect::<Vec<_>>().join("\n");
    }
    // Below it, it must still be on the screen as a whole.
    let mut all = text(failure, log, columns, rows);
    if let Some(code) = code(columns, rows) {
        all.push(String::new());
        all.extend(code);
    }
    all.join("\n")
}

/// The lines of the text: what was said is shortened until all of it has room.
fn text(failure: &Failure, log: &[String], columns: usize, rows: usize) -> Vec<String> {
    let code = failure.code();
    let all = |said: &str| {
        let mut lines = broken("The installation has failed.", columns);
        let ran = failure.ran.as_deref().map(|ran| ("Ran", shortened(ran, columns.saturating_mul(2))));
        let parts = [Some(("Step", failure.step.clone())), ran, Some(("Said", said.to_string()))];
        let rest = [
            ("Cause", failure.cause.to_string()),
            ("Disk", failure.left.clone()),
            ("To do", failure.help.to_string()),
            ("Log", log.join(", ")),
            ("Code", code.clone()),
        ];
        for (label, words) in parts.into_iter().flatten().chain(rest) {
            if words.is_empty() {
                continue;
            }
            for (number, line) in broken(&words, columns.saturating_sub(LABEL)).into_iter().enumerate() {
                let label = if number == 0 { label } else { "" };
                lines.push(format!("{label:LABEL$}{line}"));
            }
        }
        lines
    };
    let said = failure.said.trim();
    let lines = all(said);
    let mut room = said.chars().count();
    let mut lines = lines;
    while lines.len() > rows && room > columns {
        room -= columns / 2;
        lines = all(&shortened(said, room));
    }
    lines
}

fn broken(text: &str, columns: usize) -> Vec<String> {
    let text = if columns > MOST_COLUMNS { text.to_string() } else { wrapped(text, columns.max(1)) };
    text.lines().map(ToString::to_string).collect()
}

/// Whatever is wider is no terminal.
const MOST_COLUMNS: usize = 10_000;

fn padded(text: &str, columns: usize) -> String {
    let width = dialoguer::console::measure_text_width(text);
    format!("{text}{}", " ".repeat(columns.saturating_sub(width)))
}

/// What the QR code says, and a shorter form of it: the code, and what it is made of, in the alphabet that QR codes have few dots for.
/// Nothing of it says whose computer it is.
fn in_code(failure: &Failure) -> Vec<String> {
    let clean = |text: &str| -> String {
        let c = |c: char| if c.is_ascii_alphanumeric() || " -.".contains(c) { c.to_ascii_uppercase() } else { ':' };
        text.chars().map(c).collect()
    };
    let essentials = failure.essentials();
    let rest = essentials.strip_prefix("cairn ").unwrap_or(&essentials);
    let long = format!("CAIRN {} {}", failure.code(), clean(rest));
    let short = format!("CAIRN {} {}", failure.code(), clean(failure.version));
    vec![long.chars().take(MOST).collect(), short]
}

#[cfg(test)]
mod tests {
    use dialoguer::console::measure_text_width;

    use super::*;

    fn failure() -> Failure {
        Failure {
            version: "0.1.0",
            step: "making root as large as its partition".into(),
            ran: Some("resize2fs /dev/nvme0n1p2".into()),
            said: format!(
                "making root as large: `resize2fs` ended with exit status: 1:\n{}",
                "a line of it\n".repeat(30)
            ),
            kind: "resize exit 1".into(),
            cause: "A disk, or the medium, cannot be read or written: it is worn, or its cable or port is.",
            help: "Try another port or cable. The medium's boot menu checks the medium; `smartctl -a` tells of a disk.",
            left: "/dev/nvme0n1 may be unfinished: it was not looked at to the end. Install again".into(),
            computer: "uefi nvme 512".into(),
        }
    }

    fn log() -> Vec<String> {
        vec!["/var/lib/cairn/failures/ACDEFHJK.txt".into(), "logs on the medium".into()]
    }

    /// That all is there, and nothing wider or longer than the screen.
    fn fits(columns: usize, rows: usize, code: Option<Halves>) -> String {
        let page = page(&failure(), &log(), Some(Place { columns, rows, code }));
        for words in ["failed", "Step", "Ran", "Said", "Cause", "Disk", "To do", "Log", "Code", &failure().code()] {
            assert!(page.contains(words), "{words} is not in {page}");
        }
        assert!(page.lines().all(|line| measure_text_width(line) < columns), "{page}");
        page
    }

    #[test]
    fn it_is_one_page_on_a_screen_of_80_columns_with_a_code_beside_the_text() {
        for (halves, rows) in [(true, 24), (false, 25)] {
            let page = fits(80, rows, Some(Halves(halves)));
            assert!(page.lines().count() <= rows - 2, "{page}");
            assert!(page.contains('█') && page.contains('▀') == halves, "{page}");
        }
        let large = fits(160, 50, Some(Halves(false)));
        assert!(large.contains('█') && large.lines().count() <= 48, "{large}");
    }

    #[test]
    fn forty_columns_have_the_text_and_below_it_a_code_where_there_is_one_so_narrow() {
        let text = fits(40, 24, None);
        assert!(text.lines().count() <= 24 && !text.contains('█'), "{text}");
        let with = fits(40, 30, Some(Halves(true)));
        assert!(with.contains("█\n"), "{with}");
        assert!(!fits(40, 30, Some(Halves(false))).contains('█'));
    }

    #[test]
    fn lines_and_logs_have_all_of_it_and_no_code() {
        let all = page(&failure(), &log(), None);
        assert!(all.contains(&"a line of it\n      ".repeat(29)) && !all.contains('█'), "{all}");
        assert!(
            all.contains("\nDisk  /dev/nvme0n1 may be unfinished: it was not looked at to the end. Install again\n")
        );
    }

    #[test]
    fn the_code_says_nothing_of_whose_computer_it_is() {
        let failure = Failure { said: "serial S5Y1NJ0R of anna".into(), ..failure() };
        let [long, short] = &in_code(&failure)[..] else { panic!() };
        let code = failure.code();
        assert_eq!(
            *long,
            format!("CAIRN {code} 0.1.0: MAKING ROOT AS LARGE AS ITS: RESIZE EXIT 1: UEFI NVME 512")
                .chars()
                .take(77)
                .collect::<String>()
        );
        assert_eq!(*short, format!("CAIRN {code} 0.1.0"));
    }
}
