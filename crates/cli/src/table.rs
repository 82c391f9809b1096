//! Tables for people.

use std::borrow::Cow;

use cairn_process::text::one_line;

/// Columns as wide as their widest cell, two blanks between them. A heading that begins with `>` is of numbers.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let names: Vec<&str> = headings.iter().map(|h| h.trim_start_matches('>')).collect();
    let widths: Vec<usize> = names
        .iter()
        .enumerate()
        .map(|(i, name)| rows.iter().map(|row| row[i].chars().count()).chain([name.len()]).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    let mut line = |cells: &[&str]| {
        let cells = cells.iter().zip(&widths).zip(headings).map(|((cell, width), heading)| {
            if heading.starts_with('>') { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    };
    line(&names);
    for row in &rows {
        line(&row.iter().map(|cell| &**cell).collect::<Vec<_>>());
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_stand_at_the_right() {
        let rows = [vec!["9".to_string(), "a".into()], vec!["10".into(), "bcd".into()]];
        assert_eq!(super::table(&[">#", "name"], &rows), " #  name\n 9  a\n10  bcd\n");
    }

    #[test]
    fn a_cell_is_one_line_and_gives_no_orders() {
        let rows = [vec!["a\nb\u{1b}[31m".to_string(), "c".into()], vec!["d".into(), "e".into()]];
        assert_eq!(super::table(&["x", "y"], &rows), "x             y\na\\nb\\x1b[31m  c\nd             e\n");
    }
}
