//! GRUB's script language: words, quotes, variables, `if`, `while`, `for`, functions, blocks.
//!
//! GRUB reads a file statement by statement; one that it cannot understand is lost and the next line is read. One that
//! the file's end cuts off is lost as well.

/// A word: pieces that are put together when it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Word(pub Vec<Piece>);

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// A variable's value; whether it stands in quotes.
    Variable(String, bool),
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// A command with its words, and its block if it has one.
    Command(Vec<Word>, Option<Vec<Statement>>),
    /// Conditions with their branches, and the last branch.
    If(Vec<(Vec<Statement>, Vec<Statement>)>, Vec<Statement>),
    /// A loop; whether it is an `until`.
    While(bool, Vec<Statement>, Vec<Statement>),
    /// A loop over words.
    For(String, Vec<Word>, Vec<Statement>),
    /// A function.
    Function(String, Vec<Statement>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(Word, bool),
    End,
    Open,
    Close,
    Eof,
}

/// Reads a file: what could be understood of it, and how many statements could not.
pub fn parse(text: &str) -> (Vec<Statement>, usize) {
    let mut parser = Parser { chars: text.chars().collect(), at: 0 };
    let (mut statements, mut lost) = (Vec::new(), 0);
    loop {
        while matches!(parser.peek(), Token::End) {
            parser.take();
        }
        if parser.peek() == Token::Eof {
            return (statements, lost);
        }
        match parser.statement() {
            Some(statement) => statements.push(statement),
            None => {
                lost += 1;
                parser.skip_line();
            }
        }
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&mut self) -> Token {
        let at = self.at;
        let token = self.take();
        self.at = at;
        token
    }

    fn skip_line(&mut self) {
        while self.chars.get(self.at).is_some_and(|c| *c != '\n') {
            self.at += 1;
        }
    }

    fn take(&mut self) -> Token {
        loop {
            match self.chars.get(self.at) {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.chars.get(self.at + 1) == Some(&'\n') => self.at += 2,
                Some('#') => self.skip_line(),
                None => return Token::Eof,
                Some('\n' | ';') => {
                    self.at += 1;
                    return Token::End;
                }
                Some(c @ ('{' | '}')) => {
                    let token = if *c == '{' { Token::Open } else { Token::Close };
                    self.at += 1;
                    return token;
                }
                Some(_) => return self.word(),
            }
        }
    }

    fn word(&mut self) -> Token {
        let mut word = Word::default();
        let mut plain = true;
        while let Some(c) = self.chars.get(self.at).copied() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '{' | '}' | '|' | '&' | '<' | '>' => break,
                '\\' => {
                    plain = false;
                    if let Some(next) = self.chars.get(self.at + 1) {
                        push(&mut word, *next);
                    }
                    self.at += 2;
                }
                '\'' | '"' => {
                    plain = false;
                    word.0.push(Piece::Text(String::new()));
                    self.at += 1;
                    if self.quoted(&mut word, c).is_none() {
                        return Token::Eof;
                    }
                }
                '$' => {
                    plain = false;
                    self.variable(&mut word, false);
                }
                c => {
                    push(&mut word, c);
                    self.at += 1;
                }
            }
        }
        if word.0.is_empty() {
            // A character that stands alone and means nothing here.
            self.at += 1;
            return Token::Word(Word(vec![Piece::Text("\0".into())]), false);
        }
        Token::Word(word, plain)
    }

    /// The rest of a quoted piece; nothing when the file ends in it.
    fn quoted(&mut self, word: &mut Word, quote: char) -> Option<()> {
        loop {
            match self.chars.get(self.at).copied()? {
                c if c == quote => break,
                '\\' if quote == '"' && matches!(self.chars.get(self.at + 1), Some('"' | '\\' | '$')) => {
                    push(word, self.chars[self.at + 1]);
                    self.at += 2;
                }
                '$' if quote == '"' => self.variable(word, true),
                c => {
                    push(word, c);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Some(())
    }

    fn variable(&mut self, word: &mut Word, quoted: bool) {
        self.at += 1;
        let braces = self.chars.get(self.at) == Some(&'{');
        self.at += usize::from(braces);
        let mut name = String::new();
        while let Some(c) = self.chars.get(self.at) {
            if !(c.is_ascii_alphanumeric() || *c == '_' || (*c == '?' && name.is_empty())) {
                break;
            }
            name.push(*c);
            self.at += 1;
        }
        self.at += usize::from(braces);
        word.0.push(if name.is_empty() { Piece::Text("$".into()) } else { Piece::Variable(name, quoted) });
    }

    fn keyword(&mut self) -> Option<String> {
        match self.peek() {
            Token::Word(Word(pieces), true) => match &pieces[..] {
                [Piece::Text(text)] => Some(text.clone()),
                _ => None,
            },
            _ => None,
        }
    }

    fn expect(&mut self, word: &str) -> Option<()> {
        (self.keyword()? == word).then(|| drop(self.take()))
    }

    /// Statements up to one of these words, or to the end of a block.
    fn until(&mut self, ends: &[&str]) -> Option<Vec<Statement>> {
        let mut statements = Vec::new();
        loop {
            match self.peek() {
                Token::End => drop(self.take()),
                Token::Eof => return None,
                Token::Close => return ends.is_empty().then_some(statements),
                _ if self.keyword().is_some_and(|word| ends.contains(&word.as_str())) => return Some(statements),
                _ => statements.push(self.statement()?),
            }
        }
    }

    fn block(&mut self) -> Option<Vec<Statement>> {
        if self.take() != Token::Open {
            return None;
        }
        let statements = self.until(&[])?;
        (self.take() == Token::Close).then_some(statements)
    }

    fn ends(&mut self) {
        while self.peek() == Token::End {
            self.take();
        }
    }

    fn statement(&mut self) -> Option<Statement> {
        match self.keyword().as_deref() {
            Some("if") => self.conditions(),
            Some(word @ ("while" | "until")) => {
                let until = word == "until";
                self.take();
                let condition = self.until(&["do"])?;
                Some(Statement::While(until, condition, self.body()?))
            }
            Some("for") => {
                self.take();
                let name = self.keyword()?;
                self.take();
                self.expect("in")?;
                let mut words = Vec::new();
                while let Token::Word(word, _) = self.peek() {
                    self.take();
                    words.push(word);
                }
                self.ends();
                Some(Statement::For(name, words, self.body()?))
            }
            Some("function") => {
                self.take();
                let name = self.keyword()?;
                self.take();
                self.ends();
                Some(Statement::Function(name, self.block()?))
            }
            Some("then" | "elif" | "else" | "fi" | "do" | "done") => None,
            _ => self.command(),
        }
    }

    fn body(&mut self) -> Option<Vec<Statement>> {
        self.expect("do")?;
        let body = self.until(&["done"])?;
        self.expect("done")?;
        Some(body)
    }

    fn conditions(&mut self) -> Option<Statement> {
        let mut branches = Vec::new();
        loop {
            self.take();
            let condition = self.until(&["then"])?;
            self.expect("then")?;
            branches.push((condition, self.until(&["elif", "else", "fi"])?));
            match self.keyword()?.as_str() {
                "elif" => {}
                "else" => {
                    self.take();
                    let last = self.until(&["fi"])?;
                    self.expect("fi")?;
                    return Some(Statement::If(branches, last));
                }
                _ => {
                    self.take();
                    return Some(Statement::If(branches, Vec::new()));
                }
            }
        }
    }

    fn command(&mut self) -> Option<Statement> {
        let mut words = Vec::new();
        loop {
            match self.peek() {
                Token::Word(word, _) => {
                    if word.0 == [Piece::Text("\0".into())] {
                        return None;
                    }
                    self.take();
                    words.push(word);
                }
                Token::Open => return Some(Statement::Command(words, Some(self.block()?))),
                // A closing brace ends the block that this stands in; here it is an error if there is none.
                Token::Close if words.is_empty() => return None,
                // The file ends in a quoted word.
                Token::Eof if self.at < self.chars.len() && words.is_empty() => return None,
                _ => return Some(Statement::Command(words, None)),
            }
        }
    }
}

fn push(word: &mut Word, c: char) {
    match word.0.last_mut() {
        Some(Piece::Text(text)) => text.push(c),
        _ => word.0.push(Piece::Text(c.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: &Word) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Variable(name, _) => format!("<{name}>"),
        };
        word.0.iter().map(piece).collect()
    }

    fn words(script: &str) -> Vec<String> {
        match &parse(script).0[..] {
            [Statement::Command(words, _)] => words.iter().map(text).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn quotes_and_variables() {
        assert_eq!(words(r#"echo 'a $b; {}' "x $y ${z}" a\ b $prefix/c '' # no"#).len(), 6);
        let made = words(r#"linux '/k' 'a'\''b' "$root"x"#);
        assert_eq!(made, ["linux", "/k", "a'b", "<root>x"]);
    }

    #[test]
    fn a_menu_with_functions_and_conditions() {
        let script = "function f {\n  reboot\n}\nif [ -s /a ]; then set x=1\nelif [ -s /b ]; then set x=2\nelse f; fi\n\
                      menuentry 'one' --id a {\n  if linux /k; then boot; fi\n  f\n}\n";
        let (statements, lost) = parse(script);
        assert_eq!((statements.len(), lost), (3, 0));
        assert!(matches!(&statements[1], Statement::If(branches, last) if branches.len() == 2 && last.len() == 1));
        assert!(matches!(&statements[2], Statement::Command(words, Some(body)) if words.len() == 4 && body.len() == 2));
    }

    #[test]
    fn what_is_cut_off_or_wrong_is_lost_and_the_rest_is_not() {
        let (statements, lost) = parse("set a=1\nmenuentry 'x' {\n  linux /k\n");
        assert_eq!((statements.len(), lost), (1, 1));
        let (statements, lost) = parse("set a=1\nfi\nset b=2\n");
        assert_eq!((statements.len(), lost), (2, 1));
        let (statements, _) = parse("set a=1\necho 'not closed\nset b=2\n");
        assert!(statements.len() <= 2);
    }
}
