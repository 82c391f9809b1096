//! The lines in which two texts differ, as `diff -u` shows them.

use std::fmt::Write;

/// Lines around a difference.
const CONTEXT: usize = 3;
/// Above this many lines on each side (after what is alike at both ends is taken off) everything is shown as new: the
/// table would be too large.
const MOST: usize = 2000;

/// What comparing costs, in small steps of a reader's ([`cairn_disk::Budget`]): the table's fields, 64 of them a step.
pub fn cost(old: &str, new: &str) -> u64 {
    let lines = |text: &str| text.lines().take(MOST).count() as u64;
    lines(old) * lines(new) / 64 + 1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Keep,
    Remove,
    Add,
}

/// The hunks, without the lines that name the files. Empty for texts that are the same.
pub fn unified(old: &str, new: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let edits = edits(&a, &b);
    let mut text = String::new();
    let mut at = 0;
    while let Some(first) = edits[at..].iter().position(|e| *e != Edit::Keep).map(|i| at + i) {
        // A hunk goes on while less than twice the context is between two differences.
        let mut end = first + 1;
        let mut quiet = 0;
        for (i, edit) in edits.iter().enumerate().skip(first) {
            quiet = if *edit == Edit::Keep { quiet + 1 } else { 0 };
            if *edit != Edit::Keep {
                end = i + 1;
            } else if quiet > 2 * CONTEXT {
                break;
            }
        }
        let (start, stop) = (first.saturating_sub(CONTEXT).max(at), (end + CONTEXT).min(edits.len()));
        hunk(&a, &b, &edits, start..stop, &mut text);
        at = stop;
    }
    text
}

fn hunk(a: &[&str], b: &[&str], edits: &[Edit], range: std::ops::Range<usize>, text: &mut String) {
    let count = |edits: &[Edit], not: Edit| edits.iter().filter(|e| **e != not).count();
    let (mut i, mut j) = (count(&edits[..range.start], Edit::Add), count(&edits[..range.start], Edit::Remove));
    let inside = &edits[range];
    let place = |line: usize, count: usize| match count {
        0 => format!("{line},0"),
        1 => format!("{}", line + 1),
        n => format!("{},{n}", line + 1),
    };
    let (old, new) = (place(i, count(inside, Edit::Add)), place(j, count(inside, Edit::Remove)));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "@@ -{old} +{new} @@");
    for edit in inside {
        let _ = match edit {
            Edit::Keep => writeln!(text, " {}", a[i]),
            Edit::Remove => writeln!(text, "-{}", a[i]),
            Edit::Add => writeln!(text, "+{}", b[j]),
        };
        i += usize::from(*edit != Edit::Add);
        j += usize::from(*edit != Edit::Remove);
    }
}

/// From one list of lines to the other with the fewest changes.
fn edits(a: &[&str], b: &[&str]) -> Vec<Edit> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (left, right) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let mut edits = vec![Edit::Keep; head];
    if left.len() > MOST || right.len() > MOST {
        edits.extend(std::iter::repeat_n(Edit::Remove, left.len()));
        edits.extend(std::iter::repeat_n(Edit::Add, right.len()));
    } else {
        middle(left, right, &mut edits);
    }
    edits.extend(std::iter::repeat_n(Edit::Keep, tail));
    edits
}

/// The longest common subsequence, by its table.
fn middle(a: &[&str], b: &[&str], edits: &mut Vec<Edit>) {
    let width = b.len() + 1;
    let mut longest = vec![0_u16; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            edits.push(Edit::Keep);
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
            edits.push(Edit::Remove);
            i += 1;
        } else {
            edits.push(Edit::Add);
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_shown_with_what_is_around_them() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n";
        let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11\n12\n13\n15\n16\n";
        let expected = "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n\
                        @@ -11,5 +11,5 @@\n 11\n 12\n 13\n-14\n 15\n+16\n";
        assert_eq!(unified(old, new), expected);
        assert_eq!(unified(old, old), "");
        assert_eq!(unified("", "a\nb\n"), "@@ -0,0 +1,2 @@\n+a\n+b\n");
        assert_eq!(unified("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
    }

    #[test]
    fn long_texts_are_not_compared_line_by_line() {
        let old: String = (0..2500).map(|n| format!("a{n}\n")).collect();
        let new: String = (0..2500).map(|n| format!("b{n}\n")).collect();
        let diff = unified(&old, &new);
        assert_eq!(diff.lines().filter(|l| l.starts_with('-')).count(), 2500);
    }
}
