//! Where in a file's text a mutant is woven in.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::list::{Mutant, Place};
use crate::switch::question;

/// A change of the text, by bytes.
#[derive(Debug, Clone)]
pub enum Spot {
    /// Text that comes in here.
    Insert {
        /// Where.
        at: usize,
        /// What.
        text: String,
    },
    /// An expression that stands beside another one.
    Choice {
        /// Where the expression begins.
        start: usize,
        /// Where it ends.
        end: usize,
        /// The other.
        other: String,
    },
}

/// The text of a file with its syntax.
pub struct Source {
    text: String,
    lines: Vec<usize>,
    nodes: Nodes,
}

/// What mutants are about, by the place where `cargo mutants` says that they are.
#[derive(Default)]
struct Nodes {
    /// An operator of two operands: the whole, and both sides.
    binary: HashMap<Place, [(Place, Place); 3]>,
    /// An operator of one: the whole, and its operand.
    unary: HashMap<Place, [(Place, Place); 2]>,
    /// An arm of a match: its pattern's end, and its guard.
    arms: HashMap<Place, (Place, Option<(Place, Place)>)>,
    /// A field of a struct: the whole expression, and where the field and its comma end.
    fields: HashMap<Place, ((Place, Place), Place)>,
    /// Operators and guards with a `let`, whose names are used outside of them.
    binding: HashSet<Place>,
}

impl Source {
    pub fn new(text: String) -> Result<Source> {
        let mut nodes = Nodes::default();
        nodes.visit_file(&syn::parse_file(&text)?);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Ok(Source { text, lines, nodes })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    fn offset(&self, place: Place) -> usize {
        let line = self.lines[place.line - 1];
        self.text[line..].char_indices().nth(place.column - 1).map_or(self.text.len(), |(at, _)| line + at)
    }

    fn slice(&self, (start, end): (Place, Place)) -> &str {
        &self.text[self.offset(start)..self.offset(end)]
    }

    fn choice(&self, (start, end): (Place, Place), other: String) -> Spot {
        Spot::Choice { start: self.offset(start), end: self.offset(end), other }
    }

    /// Where the mutant of this number goes, if it can stand beside what it replaces.
    pub fn spot(&self, number: usize, mutant: &Mutant) -> Result<Option<Spot>> {
        let (start, end) = (mutant.span.start, mutant.span.end);
        let ask = question(number);
        if self.nodes.binding.contains(&start) {
            return Ok(None);
        }
        Ok(Some(match mutant.genre.as_str() {
            "FnValue" => {
                let text = format!("if {ask} {{ return {}; }} ", mutant.replacement);
                Spot::Insert { at: self.offset(start), text }
            }
            "BinaryOperator" => {
                let [whole, left, right] = *self.nodes.binary.get(&start).context("no such operator")?;
                let other = format!("({}) {} ({})", self.slice(left), mutant.replacement, self.slice(right));
                self.choice(whole, other)
            }
            "UnaryOperator" => {
                let [whole, operand] = *self.nodes.unary.get(&start).context("no such operator")?;
                let operand = self.slice(operand).to_string();
                self.choice(whole, operand)
            }
            "MatchArmGuard" => self.choice((start, end), mutant.replacement.clone()),
            "MatchArm" => match *self.nodes.arms.get(&start).context("no such arm")? {
                (_, Some(guard)) => self.choice(guard, "false".to_string()),
                (end, None) => Spot::Insert { at: self.offset(end), text: format!(" if !{ask}") },
            },
            "StructField" => {
                let (whole, end) = *self.nodes.fields.get(&start).context("no such field")?;
                let (from, to) = (self.offset(start), self.offset(end));
                let (first, last) = (self.offset(whole.0), self.offset(whole.1));
                self.choice(whole, format!("{}{}", &self.text[first..from], &self.text[to..last]))
            }
            other => anyhow::bail!("mutants of the kind {other} are not known here"),
        }))
    }
}

fn begin(span: Span) -> Place {
    Place { line: span.start().line, column: span.start().column + 1 }
}

fn end(span: Span) -> Place {
    Place { line: span.end().line, column: span.end().column + 1 }
}

/// A node's first and last place. (A joined span is known to a stable compiler only from its two ends.)
fn ends(node: &impl Spanned) -> (Place, Place) {
    let span = node.span();
    (begin(span), end(span))
}

/// Whether a condition is a chain that has a `let`.
fn binds(node: &syn::Expr) -> bool {
    match node {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => binds(&binary.left) || binds(&binary.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Nodes {
    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        if binds(&node.left) || binds(&node.right) {
            self.binding.insert(begin(node.op.span()));
        }
        self.binary.insert(begin(node.op.span()), [ends(node), ends(&node.left), ends(&node.right)]);
        syn::visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        self.unary.insert(begin(node.op.span()), [ends(node), ends(&node.expr)]);
        syn::visit::visit_expr_unary(self, node);
    }

    fn visit_arm(&mut self, node: &'ast syn::Arm) {
        if let Some((_, guard)) = node.guard.as_ref().filter(|(_, guard)| binds(guard)) {
            self.binding.extend([ends(guard).0, ends(node).0]);
        }
        let guard = node.guard.as_ref().map(|(_, guard)| ends(guard));
        self.arms.insert(ends(node).0, (ends(&node.pat).1, guard));
        syn::visit::visit_arm(self, node);
    }

    fn visit_expr_struct(&mut self, node: &'ast syn::ExprStruct) {
        for field in node.fields.pairs() {
            let (value, comma) = field.into_tuple();
            let last = comma.map_or_else(|| ends(value).1, |comma| ends(comma).1);
            self.fields.insert(ends(value).0, (ends(node), last));
        }
        syn::visit::visit_expr_struct(self, node);
    }
}
