//! Bytes to a tree with places, by a YAML 1.2 parser, with everything refused that could be read in two ways.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use crate::names::shown;
use crate::problem::{Position, Problem};
use crate::tree::{Entry, Mapping, Node, Scalar, Value};

/// How deep lists and mappings may nest. The schemas need six.
const MAX_DEPTH: usize = 32;

/// What a text holds.
#[derive(Debug)]
pub(crate) struct Yaml {
    /// The document, or what is there of it.
    pub tree: Option<Node>,
    /// The document was read to its end. Otherwise the tree has the whole entries that stand before the problem.
    pub whole: bool,
    /// Everything that is wrong with the text: encoding, syntax, duplicate keys, anchors, aliases, tags, a second
    /// document.
    pub problems: Vec<Problem>,
}

/// Reads one document.
pub(crate) fn parse(file: &str, bytes: &[u8]) -> Yaml {
    let nothing = |problem| Yaml { tree: None, whole: false, problems: vec![problem] };
    let text = match text_of(file, bytes) {
        Ok(text) => text,
        Err(problem) => return nothing(problem),
    };
    let mut builder = Builder { file, problems: Vec::new(), open: Vec::new(), root: None, documents: 0 };
    for event in Parser::new_from_str(text) {
        let keep_on = match event {
            Ok((event, span)) => builder.event(event, position(span.start)),
            Err(error) => {
                builder.problems.push(syntax_problem(file, text, &error));
                false
            }
        };
        if !keep_on {
            break;
        }
    }
    let whole = builder.root.is_some() && builder.documents == 1;
    match builder.root.or_else(|| cut_off(builder.open)) {
        None if builder.problems.is_empty() => nothing(empty(file)),
        tree => Yaml { tree, whole, problems: builder.problems },
    }
}

/// The outermost entries that were whole when the reading ended: where a quote or bracket is missing, nobody knows what
/// the text around it means.
fn cut_off(open: Vec<Open>) -> Option<Node> {
    match open.into_iter().next() {
        Some(Open::Mapping { at, mapping, .. }) => Some(Node { at, value: Value::Mapping(mapping) }),
        _ => None,
    }
}

fn empty(file: &str) -> Problem {
    let help = "`cairn init` writes a file to start from".to_owned();
    Problem::new(file, Position::START, "the file is empty", Some(help))
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

/// The bytes as UTF-8 without a byte order mark and without control characters.
fn text_of<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (good, rest) = bytes.split_at(error.valid_up_to());
        let at = end_of(std::str::from_utf8(good).unwrap_or_default());
        let byte = rest.first().copied().unwrap_or_default();
        let message = format!("the file is not UTF-8: byte 0x{byte:02x} at offset {}", good.len());
        let help = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it looks like UTF-16; save it as UTF-8",
            _ => "save it as UTF-8 in your editor, or convert it with `iconv -f latin1 -t utf-8`",
        };
        Problem::new(file, at, message, Some(help.to_owned()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let control = |c: char| (c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) || c == '\u{feff}';
    if let Some(index) = text.find(control) {
        let code = text[index..].chars().next().map_or(0, u32::from);
        let message = format!("the file has the control character U+{code:04X}");
        return Err(Problem::new(file, end_of(&text[..index]), message, Some("is it a text file?".to_owned())));
    }
    Ok(text)
}

/// The place after a text.
pub(crate) fn end_of(text: &str) -> Position {
    let last = text.rfind('\n').map_or(text, |i| &text[i + 1..]);
    Position { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 }
}

/// A syntax error in words that help; the parser's own words stay in the message.
fn syntax_problem(file: &str, text: &str, error: &ScanError) -> Problem {
    let at = position(*error.marker());
    let tabs = text.lines().enumerate().skip(at.line.saturating_sub(1)).take(2).find_map(|(i, line)| {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        let column = line[..indent].find('\t')? + 1;
        Some(Position { line: i + 1, column })
    });
    if let Some(at) = tabs {
        let help = "indent with blanks; YAML does not allow tabs there".to_owned();
        return Problem::new(file, at, "a tab is used as indentation", Some(help));
    }
    let info = error.info();
    let help = if info.contains("unknown anchor") {
        return alias(file, at);
    } else if info.contains("mapping values are not allowed") {
        "put a value that has `: ` in it into quotes; if it is a key, indent it like the keys beside it"
    } else if info.contains("unexpected end of stream") {
        "a quote is opened here and not closed"
    } else if info.contains("unexpected character") {
        "put the value into quotes"
    } else if info.contains("did not find expected") {
        "look at the indentation here and in the lines above: what belongs together stands in one column"
    } else {
        "look at this line and the one above: quotes, brackets, and the `:` after each key"
    };
    if info.contains("recursion limit") {
        return too_deep(file, at);
    }
    let message = format!("not YAML: {}", info.replace('`', "'"));
    Problem::new(file, at, message, Some(help.to_owned()))
}

fn too_deep(file: &str, at: Position) -> Problem {
    let message = format!("lists and mappings nest deeper than {MAX_DEPTH} levels");
    Problem::new(file, at, message, Some("look for a stray bracket".to_owned()))
}

fn alias(file: &str, at: Position) -> Problem {
    let help = "write the value out".to_owned();
    Problem::new(file, at, "aliases (`*name`) are not supported", Some(help))
}

/// A list or mapping that is not finished.
enum Open {
    Sequence { at: Position, items: Vec<Node> },
    Mapping { at: Position, mapping: Mapping, key: Option<(Option<String>, Position)> },
}

struct Builder<'a> {
    file: &'a str,
    problems: Vec<Problem>,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
}

impl Builder<'_> {
    fn wrong(&mut self, at: Position, message: impl Into<String>, help: &str) {
        self.problems.push(Problem::new(self.file, at, message, Some(help.to_owned())));
    }

    /// Takes one event. `false` if what follows cannot be made sense of.
    fn event(&mut self, event: Event<'_>, at: Position) -> bool {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.wrong(at, "a second document begins here", "one file holds one document; remove the `---`");
                    return false;
                }
            }
            Event::Alias(_) => {
                let problem = alias(self.file, at);
                self.problems.push(problem);
                self.add(Node { at, value: Value::Refused });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.extras(at, anchor, tag.as_deref().map(ToString::to_string));
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.add(Node { at, value: Value::Scalar(scalar) });
            }
            Event::SequenceStart(anchor, tag) => {
                self.extras(at, anchor, tag.as_deref().map(ToString::to_string));
                return self.begin(at, Open::Sequence { at, items: Vec::new() });
            }
            Event::MappingStart(anchor, tag) => {
                self.extras(at, anchor, tag.as_deref().map(ToString::to_string));
                return self.begin(at, Open::Mapping { at, mapping: Mapping::default(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence { at, items }) => self.add(Node { at, value: Value::Sequence(items) }),
                Some(Open::Mapping { at, mapping, .. }) => self.add(Node { at, value: Value::Mapping(mapping) }),
                None => return false,
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        true
    }

    /// Anchors and tags: refused, since a reader of the file would have to know more YAML than the file needs.
    fn extras(&mut self, at: Position, anchor: usize, tag: Option<String>) {
        if anchor > 0 {
            self.wrong(at, "anchors (`&name`) are not supported", "write the value out where it is used");
        }
        if let Some(tag) = tag {
            let message = format!("tags (`{}`) are not supported", shown(&tag));
            self.wrong(at, message, "leave it out: what a value is follows from its key");
        }
    }

    fn begin(&mut self, at: Position, open: Open) -> bool {
        if self.open.len() >= MAX_DEPTH {
            let problem = too_deep(self.file, at);
            self.problems.push(problem);
            return false;
        }
        self.open.push(open);
        true
    }

    fn add(&mut self, mut node: Node) {
        let problem = match self.open.last_mut() {
            None => {
                self.root = Some(node);
                None
            }
            Some(Open::Sequence { items, .. }) => {
                items.push(node);
                None
            }
            Some(Open::Mapping { mapping, key, .. }) => match key.take() {
                Some((key, key_at)) => {
                    if matches!(&node.value, Value::Scalar(s) if s.plain && s.text.is_empty()) {
                        node.at = key_at; // The parser puts an empty value where the next token is.
                    }
                    mapping.push(Entry { key, key_at, value: node });
                    None
                }
                None => {
                    let (text, problem) = key_text(self.file, &node, mapping);
                    *key = Some((text, node.at));
                    problem
                }
            },
        };
        self.problems.extend(problem);
    }
}

/// The text of a key, unless it cannot be one, and what is wrong with it.
fn key_text(file: &str, node: &Node, before: &Mapping) -> (Option<String>, Option<Problem>) {
    let scalar = match &node.value {
        Value::Scalar(scalar) => scalar,
        Value::Refused => return (None, None),
        _ => {
            let help = "a `[` or `{` at the beginning of a text needs quotes around it".to_owned();
            let problem = Problem::new(file, node.at, "a list or mapping cannot be a key", Some(help));
            return (None, Some(problem));
        }
    };
    let text = scalar.text.clone();
    if text == "<<" && scalar.plain {
        let help = "write the keys out".to_owned();
        return (None, Some(Problem::new(file, node.at, "merge keys (`<<`) are not supported", Some(help))));
    }
    let problem = before.get(&text).map(|first| {
        let first = first.key_at;
        let help = format!("its first place is line {}, column {}; keep one of the two", first.line, first.column);
        Problem::new(file, node.at, format!("the key `{}` is given twice", shown(&text)), Some(help))
    });
    (Some(text), problem)
}
