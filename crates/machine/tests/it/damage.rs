//! Whatever the bytes are, a check ends with an answer: no panic, no endless loop.

use crate::common::{check_bytes, examples};

/// A small generator of numbers, the same at every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

fn inputs() -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = examples().into_iter().map(|(_, text)| text.into_bytes()).collect();
    texts.push(cairn_machine::template("hello").into_bytes());
    texts
}

/// Problems point into the file, and have words.
fn answer(bytes: &[u8]) {
    if let Err(problems) = check_bytes(bytes) {
        let lines = bytes.split(|b| *b == b'\n').count();
        for problem in &problems {
            assert!((1..=lines + 1).contains(&problem.line) && problem.column > 0, "{problem}");
            assert!(!problem.message.is_empty() && !problem.message.contains('\n'), "{problem}");
        }
    }
}

#[test]
fn cut_off_anywhere() {
    for text in inputs() {
        for end in (0..text.len()).step_by(7) {
            answer(&text[..end]);
        }
    }
}

#[test]
fn changed_anywhere() {
    let signs = b" \t\n\r:-#'\"[]{}&*!|>%@`,?\\~<\x00\x7f\x80\xc3\xff0a";
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for text in inputs() {
        for _ in 0..300 {
            let mut text = text.clone();
            for _ in 0..=numbers.below(4) {
                let at = numbers.below(text.len());
                let sign = signs[numbers.below(signs.len())];
                match numbers.below(3) {
                    0 => text[at] = sign,
                    1 => text.insert(at, sign),
                    _ => drop(text.remove(at)),
                }
            }
            answer(&text);
        }
    }
}

#[test]
fn lines_taken_out_doubled_and_indented() {
    let mut numbers = Numbers(42);
    for text in inputs() {
        let text = String::from_utf8(text).unwrap();
        for _ in 0..200 {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let at = numbers.below(lines.len());
            match numbers.below(4) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                2 => lines[at].insert(0, ' '),
                _ => lines.swap(at, 0),
            }
            answer(lines.join("\n").as_bytes());
        }
    }
}

#[test]
fn arbitrary_bytes() {
    let mut numbers = Numbers(7);
    for _ in 0..2000 {
        let length = numbers.below(60);
        let bytes: Vec<u8> = (0..length).map(|_| numbers.below(256) as u8).collect();
        answer(&bytes);
        let signs = b" \n:-#'\"[]{}&*!|>%@`,?ab1~";
        let signs: Vec<u8> = (0..length).map(|_| signs[numbers.below(signs.len())]).collect();
        answer(&signs);
    }
}
