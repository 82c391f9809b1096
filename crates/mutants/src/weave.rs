//! A file's text with all of its mutants in it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::spots::Spot;
use crate::switch::question;

/// A file with its mutants.
#[derive(Default)]
pub struct Woven {
    /// The text.
    pub text: String,
    /// Where each mutant's own text stands in it, by bytes.
    pub places: Vec<(usize, std::ops::Range<usize>)>,
    /// Where each choice as a whole stands, and whose it is.
    pub choices: Vec<(Vec<usize>, std::ops::Range<usize>)>,
    /// Where those end that come in at the beginning of one function, or behind one pattern.
    pub ends: BTreeMap<usize, Vec<usize>>,
}

/// Weaves mutants into a text.
pub fn weave(text: &str, spots: &[(usize, Spot)]) -> Woven {
    let mut inserts: BTreeMap<usize, Vec<(usize, &str)>> = BTreeMap::new();
    let mut choices: BTreeMap<(usize, usize), Choice> = BTreeMap::new();
    for (number, spot) in spots {
        match spot {
            Spot::Insert { at, text } => inserts.entry(*at).or_default().push((*number, text)),
            Spot::Choice { start, end, other } => {
                let new = || Choice { start: *start, end: *end, others: Vec::new() };
                choices.entry((*start, *end)).or_insert_with(new).others.push((*number, other));
            }
        }
    }
    // Outer ones before inner ones: the earlier first, of those that begin together the longer.
    let mut choices: Vec<Choice> = choices.into_values().collect();
    choices.sort_by_key(|choice| (choice.start, Reverse(choice.end)));
    let mut out = Out { from: text, inserts, woven: Woven::default() };
    out.range(0, text.len(), &choices);
    out.woven
}

struct Choice<'a> {
    start: usize,
    end: usize,
    others: Vec<(usize, &'a str)>,
}

struct Out<'a> {
    from: &'a str,
    inserts: BTreeMap<usize, Vec<(usize, &'a str)>>,
    woven: Woven,
}

impl<'a> Out<'a> {
    /// A part of the text with the choices in it, which are sorted.
    fn range(&mut self, mut at: usize, end: usize, mut choices: &[Choice<'a>]) {
        while let Some((choice, rest)) = choices.split_first() {
            self.plain(at, choice.start);
            let inner = rest.iter().take_while(|c| c.start < choice.end).count();
            self.choice(choice, &rest[..inner]);
            at = choice.end;
            choices = &rest[inner..];
        }
        self.plain(at, end);
    }

    fn choice(&mut self, choice: &Choice<'a>, inner: &[Choice<'a>]) {
        // What comes in before the expression comes in before the choice.
        self.inserts_at(choice.start);
        let begin = self.woven.text.len();
        self.woven.text.push('(');
        for (number, other) in &choice.others {
            self.woven.text.push_str(&format!("if {} {{ ", question(*number)));
            self.own(*number, other);
            self.woven.text.push_str(" } else ");
        }
        self.woven.text.push_str("{ ");
        self.range(choice.start, choice.end, inner);
        self.woven.text.push_str(" })");
        let numbers = choice.others.iter().map(|(number, _)| *number).collect();
        self.woven.choices.push((numbers, begin..self.woven.text.len()));
    }

    fn plain(&mut self, from: usize, to: usize) {
        let mut at = from;
        let places: Vec<usize> = self.inserts.range(from..to).map(|(place, _)| *place).collect();
        for place in places {
            self.woven.text.push_str(&self.from[at..place]);
            self.inserts_at(place);
            at = place;
        }
        self.woven.text.push_str(&self.from[at..to]);
    }

    fn inserts_at(&mut self, place: usize) {
        let here = self.inserts.remove(&place).unwrap_or_default();
        here.iter().for_each(|(number, text)| self.own(*number, text));
        if !here.is_empty() {
            self.woven.ends.insert(self.woven.text.len(), here.iter().map(|(number, _)| *number).collect());
        }
    }

    fn own(&mut self, number: usize, text: &str) {
        let begin = self.woven.text.len();
        self.woven.text.push_str(text);
        self.woven.places.push((number, begin..self.woven.text.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::{Mutant, Place, Span};
    use crate::spots::Source;

    fn mutant(genre: &str, start: (usize, usize), end: (usize, usize), replacement: &str) -> Mutant {
        let place = |(line, column)| Place { line, column };
        Mutant {
            package: String::new(),
            file: String::new(),
            genre: genre.to_string(),
            name: String::new(),
            replacement: replacement.to_string(),
            span: Span { start: place(start), end: place(end) },
            key: String::new(),
        }
    }

    fn woven(text: &str, mutants: &[Mutant]) -> String {
        let source = Source::new(text.to_string()).unwrap();
        let spots: Vec<(usize, Spot)> =
            mutants.iter().enumerate().map(|(n, m)| (n + 1, source.spot(n + 1, m).unwrap().unwrap())).collect();
        weave(text, &spots).text.replace("crate::cairn_mutant::", "")
    }

    #[test]
    fn mutants_stand_in_each_other() {
        let all = [
            mutant("FnValue", (1, 18), (1, 31), "false"),
            mutant("BinaryOperator", (1, 25), (1, 27), "||"),
            mutant("UnaryOperator", (1, 18), (1, 19), ""),
            mutant("BinaryOperator", (1, 30), (1, 31), "<="),
            mutant("BinaryOperator", (1, 30), (1, 31), "=="),
        ];
        assert_eq!(
            woven("fn f() -> bool { !a(x && y) && b < c }", &[all[0].clone()]),
            "fn f() -> bool { if on(1) { return false; } !a(x && y) && b < c }"
        );
        assert_eq!(
            woven("fn f() -> bool { !a(xy) && b < c }", &all),
            "fn f() -> bool { if on(1) { return false; } (if on(2) { (!a(xy)) || (b < c) } else { \
             (if on(3) { a(xy) } else { !a(xy) }) && \
             (if on(4) { (b) <= (c) } else if on(5) { (b) == (c) } else { b < c }) })"
                .to_string()
                + " }"
        );
    }

    #[test]
    fn arms_and_fields_go() {
        assert_eq!(
            woven(
                "fn f() {\nmatch x {\n1 => a,\nn if n > 2 => b,\n_ => c } }",
                &[
                    mutant("MatchArm", (3, 1), (3, 7), ""),
                    mutant("MatchArm", (4, 1), (4, 16), ""),
                    mutant("MatchArmGuard", (4, 6), (4, 11), "true"),
                ]
            ),
            "fn f() {\nmatch x {\n1 if !on(1) => a,\n\
             n if (if on(2) { false } else if on(3) { true } else { n > 2 }) => b,\n_ => c } }"
        );
        assert_eq!(
            woven("fn f() {\nS { a: 1, b, ..d } }", &[mutant("StructField", (2, 11), (2, 12), "")]),
            "fn f() {\n(if on(1) { S { a: 1,  ..d } } else { S { a: 1, b, ..d } }) }"
        );
    }
}
