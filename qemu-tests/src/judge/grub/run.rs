//! Running a script: variables, menu entries, the environment block, and how a start ends.

use std::collections::BTreeMap;

use super::parse::{Piece, Statement, Word, parse};
use crate::judge::fat::Fat;

/// What GRUB runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// SeaBIOS and its like.
    Bios,
    /// UEFI.
    Uefi,
}

/// How a start ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A kernel is started: its path, the initrds' paths, its command line.
    Boot(String, Vec<String>, String),
    /// The machine starts again.
    Reboot,
    /// It stands still: a menu or a prompt for ever, and why.
    Stands(String),
}

/// An entry of the menu.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub id: String,
    title: String,
    body: Vec<Statement>,
    submenu: bool,
}

/// GRUB, with a file system and what it keeps from one start to the next: the environment block.
#[derive(Debug, Clone)]
pub struct Machine<'a> {
    pub(crate) fat: &'a Fat<'a>,
    /// `(root)/folder`, without the device.
    prefix: String,
    /// The environment block, as the file is now.
    pub(crate) block: Option<Vec<u8>>,
    variables: BTreeMap<String, String>,
    functions: BTreeMap<String, Vec<Statement>>,
    pub(crate) items: Vec<Item>,
    loaded: Option<(String, Vec<String>, String)>,
    depth: usize,
}

/// Going on, or the end of the start.
type Flow = Result<bool, End>;

impl<'a> Machine<'a> {
    /// A machine whose menu is in this folder.
    pub fn new(fat: &'a Fat<'a>, prefix: &str, platform: Platform) -> Machine<'a> {
        let block = fat.find(&format!("{prefix}/grubenv")).and_then(|node| fat.contents(&node).ok());
        let platform = if platform == Platform::Uefi { "efi" } else { "pc" };
        let variables = [("prefix", prefix), ("grub_platform", platform), ("root", "hd0"), ("default", "0")];
        Machine {
            fat,
            prefix: prefix.into(),
            block,
            variables: variables.map(|(k, v)| (k.to_string(), v.to_string())).into(),
            functions: BTreeMap::new(),
            items: Vec::new(),
            loaded: None,
            depth: 0,
        }
    }

    /// The next start: all is forgotten but the environment block.
    pub fn again(&self) -> Machine<'a> {
        let platform = if self.value("grub_platform") == "efi" { Platform::Uefi } else { Platform::Bios };
        Machine { block: self.block.clone(), ..Machine::new(self.fat, &self.prefix, platform) }
    }

    fn value(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    /// From the first script to the end of the start. The first script is the one in the core image.
    pub fn start(&mut self, early: &str) -> End {
        if let Err(end) = self.script(early) {
            return end;
        }
        self.menu()
    }

    /// Shows the menu: after the timeout the default starts.
    fn menu(&mut self) -> End {
        if self.items.is_empty() {
            return End::Stands("there is no menu, GRUB shows its prompt".into());
        }
        if self.value("timeout").starts_with('-') {
            return End::Stands("the menu waits for somebody".into());
        }
        let items = self.items.clone();
        let default = self.value("default").to_string();
        let Some(item) = choose(&items, &default).cloned() else {
            return End::Stands(format!("the default '{default}' leads to nothing"));
        };
        self.choose_item(&item, default.split_once('>').map_or("", |(_, rest)| rest))
    }

    fn choose_item(&mut self, item: &Item, rest: &str) -> End {
        if item.submenu {
            self.items.clear();
            if let Err(end) = self.statements(&item.body) {
                return end;
            }
            self.variables.insert("default".into(), if rest.is_empty() { "0".into() } else { rest.into() });
            return self.menu();
        }
        self.loaded = None;
        match self.statements(&item.body) {
            Err(end) => end,
            Ok(_) => match self.loaded.take() {
                Some((kernel, initrds, line)) => End::Boot(kernel, initrds, line),
                None => End::Stands(format!("'{}' ends without a kernel: the menu for ever", item.title)),
            },
        }
    }

    /// How each entry ends when it is chosen, the ones in submenus as well.
    pub(crate) fn each_item(&self) -> Vec<(String, End)> {
        let mut ends = Vec::new();
        for item in &self.items {
            let mut machine = self.clone();
            if item.submenu {
                machine.items.clear();
                if machine.statements(&item.body).is_ok() {
                    ends.extend(machine.each_item());
                }
            } else {
                ends.push((item.id.clone(), machine.choose_item(item, "")));
            }
        }
        ends
    }

    /// Runs a script to its end.
    pub(crate) fn script(&mut self, text: &str) -> Flow {
        self.statements(&parse(text).0)
    }

    fn statements(&mut self, statements: &[Statement]) -> Flow {
        let mut last = true;
        for statement in statements {
            last = self.statement(statement)?;
        }
        Ok(last)
    }

    fn statement(&mut self, statement: &Statement) -> Flow {
        match statement {
            Statement::Command(words, block) => {
                let words: Vec<String> = words.iter().flat_map(|word| self.words(word)).collect();
                self.command(&words, block.as_deref())
            }
            Statement::If(branches, last) => {
                for (condition, branch) in branches {
                    if self.statements(condition)? {
                        return self.statements(branch);
                    }
                }
                self.statements(last)
            }
            Statement::While(until, condition, body) => {
                for _ in 0..1000 {
                    if self.statements(condition)? == *until {
                        return Ok(true);
                    }
                    self.statements(body)?;
                }
                Err(End::Stands("a loop without an end".into()))
            }
            Statement::For(name, words, body) => {
                let words: Vec<String> = words.iter().flat_map(|word| self.words(word)).collect();
                for word in words {
                    self.variables.insert(name.clone(), word);
                    self.statements(body)?;
                }
                Ok(true)
            }
            Statement::Function(name, body) => {
                self.functions.insert(name.clone(), body.clone());
                Ok(true)
            }
        }
    }

    /// A word's value; a variable that is not in quotes falls apart at blanks, and into nothing when it is empty.
    fn words(&self, word: &Word) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut open: Option<String> = None;
        for piece in &word.0 {
            match piece {
                Piece::Text(text) => open.get_or_insert_default().push_str(text),
                Piece::Variable(name, true) => open.get_or_insert_default().push_str(self.value(name)),
                Piece::Variable(name, false) => {
                    for (n, part) in self.value(name).split(' ').enumerate() {
                        if n > 0 {
                            words.extend(open.take());
                        }
                        if !part.is_empty() {
                            open.get_or_insert_default().push_str(part);
                        }
                    }
                }
            }
        }
        words.extend(open);
        words
    }

    fn command(&mut self, words: &[String], block: Option<&[Statement]>) -> Flow {
        let Some((command, arguments)) = words.split_first() else { return Ok(true) };
        if let Some((name, value)) = command.split_once('=').filter(|(name, _)| is_name(name)) {
            self.variables.insert(name.into(), value.into());
            return Ok(true);
        }
        match command.as_str() {
            "set" => {
                for (name, value) in arguments.iter().filter_map(|a| a.split_once('=')) {
                    self.variables.insert(name.into(), value.into());
                }
                Ok(true)
            }
            "unset" => {
                arguments.iter().for_each(|name| drop(self.variables.remove(name)));
                Ok(true)
            }
            "true" | "export" | "echo" | "sleep" | "insmod" | "serial" | "terminal_input" | "terminal_output"
            | "password_pbkdf2" | "password" | "clear" | "loadfont" | "rmmod" | "play" => Ok(true),
            "false" => Ok(false),
            "test" => Ok(self.test(arguments)),
            "[" => Ok(self.test(arguments.strip_suffix(&["]".to_string()]).unwrap_or(arguments))),
            "menuentry" | "submenu" => {
                self.add_item(command == "submenu", arguments, block.unwrap_or_default());
                Ok(true)
            }
            "source" | "." => self.source(arguments),
            "configfile" | "normal" => {
                let items = std::mem::take(&mut self.items);
                let done = self.source(arguments)?;
                if !self.items.is_empty() {
                    return Err(self.menu());
                }
                self.items = items;
                Ok(done)
            }
            "load_env" => Ok(self.load_env(arguments)),
            "save_env" => Ok(self.save_env(arguments)),
            "search" => Ok(self.search(arguments)),
            "linux" | "linuxefi" | "linux16" => Ok(self.linux(arguments)),
            "initrd" | "initrdefi" | "initrd16" => {
                let paths: Vec<String> = arguments.iter().map(|path| path_of(path)).collect();
                let there = paths.iter().all(|path| self.fat.find(path).is_some_and(|node| !node.folder));
                match &mut self.loaded {
                    Some(loaded) if there => {
                        loaded.1 = paths;
                        Ok(true)
                    }
                    _ => Ok(false),
                }
            }
            "boot" => match self.loaded.take() {
                Some((kernel, initrds, line)) => Err(End::Boot(kernel, initrds, line)),
                None => Ok(false),
            },
            "reboot" => Err(End::Reboot),
            "halt" => Err(End::Stands("it is switched off".into())),
            name => match self.functions.get(name).cloned() {
                Some(body) if self.depth < 50 => {
                    self.depth += 1;
                    let flow = self.statements(&body);
                    self.depth -= 1;
                    flow
                }
                // What is not there: an error, which ends nothing.
                _ => Ok(false),
            },
        }
    }

    fn linux(&mut self, arguments: &[String]) -> bool {
        self.loaded = None;
        let Some((path, line)) = arguments.split_first() else { return false };
        let path = path_of(path);
        if self.fat.find(&path).is_none_or(|node| node.folder || node.size == 0) {
            return false;
        }
        self.loaded = Some((path, Vec::new(), line.join(" ")));
        true
    }

    fn read(&self, path: &str) -> Option<String> {
        let node = self.fat.find(&path_of(path)).filter(|node| !node.folder)?;
        Some(String::from_utf8_lossy(&self.fat.contents(&node).ok()?).into_owned())
    }

    fn source(&mut self, arguments: &[String]) -> Flow {
        let Some(text) = arguments.first().and_then(|path| self.read(path)) else { return Ok(false) };
        if self.depth >= 50 {
            return Err(End::Stands("files that read each other for ever".into()));
        }
        self.depth += 1;
        let flow = self.script(&text);
        self.depth -= 1;
        flow
    }

    fn add_item(&mut self, submenu: bool, arguments: &[String], body: &[Statement]) {
        let mut item = Item { id: String::new(), title: String::new(), body: body.to_vec(), submenu };
        let mut arguments = arguments.iter();
        let mut titled = false;
        while let Some(word) = arguments.next() {
            match word.as_str() {
                "--id" => item.id = arguments.next().cloned().unwrap_or_default(),
                "--class" | "--users" | "--hotkey" | "--source" => drop(arguments.next()),
                "--unrestricted" => {}
                title if !titled => {
                    titled = true;
                    item.title = title.into();
                }
                _ => {}
            }
        }
        if item.id.is_empty() {
            item.id = item.title.clone();
        }
        self.items.push(item);
    }

    fn search(&mut self, arguments: &[String]) -> bool {
        let set = arguments.iter().find_map(|a| a.strip_prefix("--set=")).unwrap_or("root").to_string();
        let file = arguments.iter().any(|a| a == "--file" || a == "-f");
        let found = !file || arguments.last().is_some_and(|path| self.fat.find(path).is_some());
        if found {
            self.variables.insert(set, "hd0".into());
        }
        found
    }

    fn load_env(&mut self, names: &[String]) -> bool {
        let Some(values) = self.block.as_deref().and_then(read_block) else { return false };
        for (name, value) in values.into_iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
            self.variables.insert(name, value);
        }
        true
    }

    fn save_env(&mut self, names: &[String]) -> bool {
        let Some(block) = &self.block else { return false };
        let Some(mut values) = read_block(block) else { return false };
        for name in names {
            values.retain(|(other, _)| other != name);
            if let Some(value) = self.variables.get(name) {
                values.push((name.clone(), value.clone()));
            }
        }
        let lines: String = values.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let mut bytes = format!("{HEADER}{lines}").into_bytes();
        if bytes.len() > block.len() {
            return false;
        }
        bytes.resize(block.len(), b'#');
        self.block = Some(bytes);
        true
    }

    fn test(&self, words: &[String]) -> bool {
        // `-o` binds less than `-a`.
        words.split(|word| word == "-o").any(|any| any.split(|word| word == "-a").all(|one| self.primary(one)))
    }

    fn primary(&self, words: &[String]) -> bool {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let number = |text: &str| text.parse::<i64>().unwrap_or_default();
        let node = |path: &str| self.fat.find(&path_of(path));
        match words[..] {
            ["!", ..] => !self.test(&words[1..].iter().map(|w| (*w).to_string()).collect::<Vec<_>>()),
            ["-z", text] => text.is_empty(),
            ["-z"] => true,
            ["-n", text] => !text.is_empty(),
            ["-n"] => false,
            ["-s", path] => node(path).is_some_and(|node| node.size > 0),
            ["-e", path] => node(path).is_some(),
            ["-f", path] => node(path).is_some_and(|node| !node.folder),
            ["-d", path] => node(path).is_some_and(|node| node.folder),
            [a, "=" | "==", b] => a == b,
            [a, "!=", b] => a != b,
            [a, "-eq", b] => number(a) == number(b),
            [a, "-ne", b] => number(a) != number(b),
            [a, "-lt", b] => number(a) < number(b),
            [a, "-gt", b] => number(a) > number(b),
            [a, "-le", b] => number(a) <= number(b),
            [a, "-ge", b] => number(a) >= number(b),
            [text] => !text.is_empty(),
            _ => false,
        }
    }
}

/// A path without its device: there is one file system here.
fn path_of(path: &str) -> String {
    path.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(path, |(_, path)| path).to_string()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The entry that a default names: by number, id or title. One that names none is the first.
fn choose<'i>(items: &'i [Item], default: &str) -> Option<&'i Item> {
    let first = default.split('>').next().unwrap_or_default();
    let by_number = first.parse::<usize>().ok().and_then(|n| items.get(n));
    by_number.or_else(|| items.iter().find(|item| item.id == first || item.title == first)).or(items.first())
}

const HEADER: &str = "# GRUB Environment Block\n";

/// What an environment block says; nothing when it is none.
fn read_block(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let text = bytes.strip_prefix(HEADER.as_bytes())?;
    let lines = String::from_utf8_lossy(text).into_owned();
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_string(), value.to_string()));
    Some(lines.lines().filter(|line| !line.starts_with('#')).filter_map(pair).collect())
}
