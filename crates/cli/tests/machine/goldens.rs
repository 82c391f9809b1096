//! What every command says, in words and in JSON, on machines of each kind and state: the same from one change of the code to
//! the next, unless somebody wants it otherwise. `CAIRN_GOLDENS=write` writes down what is said now; then read the difference.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cairn_boot::Record;

use crate::generations::three_systems;
use crate::made::{Made, SystemOf, cairn};

/// What was said in a session, with what differs from run to run taken out.
struct Session {
    text: String,
    /// Places, and what they are called.
    places: Vec<(String, &'static str)>,
}

impl Session {
    fn new(places: &[(&Path, &'static str)]) -> Session {
        let places = places.iter().map(|(path, name)| (path.display().to_string(), *name)).collect();
        Session { text: String::new(), places }
    }

    fn title(&mut self, what: &str) {
        writeln!(self.text, "# {what}\n").unwrap();
    }

    fn run(&mut self, args: &[&str]) {
        let ran = cairn(args);
        let (out, err) = (self.plain(&ran.out), self.plain(&ran.err));
        let args: Vec<String> = args.iter().map(|arg| self.plain(arg)).collect();
        writeln!(self.text, "$ cairn {}", args.join(" ")).unwrap();
        for (mark, said) in [("  ", out), ("! ", err)] {
            said.lines().for_each(|line| writeln!(self.text, "{}", format!("{mark}{line}").trim_end()).unwrap());
        }
        if ran.code != 0 {
            writeln!(self.text, "exit {}", ran.code).unwrap();
        }
        self.text.push('\n');
    }

    fn plain(&self, text: &str) -> String {
        let mut text = text.to_string();
        for (path, name) in &self.places {
            text = text.replace(path, name);
        }
        // How much of an image is holes is the file system's.
        if let Some(end) = text.find(" on disk)") {
            let start = text[..end].rfind('(').unwrap() + 1;
            text.replace_range(start..end, "SOME");
        }
        let usage = "\"disk_usage\": ";
        if let Some(start) = text.find(usage).map(|at| at + usage.len()) {
            let end = start + text[start..].find(',').unwrap();
            text.replace_range(start..end, "SOME");
        }
        text
    }

    fn is(&self, name: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/machine/goldens").join(name);
        if std::env::var_os("CAIRN_GOLDENS").is_some_and(|word| word == "write") {
            fs::write(&path, &self.text).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        let both = golden.lines().zip(self.text.lines());
        let at = both.take_while(|(a, b)| a == b).count();
        let line = |text: &str| text.lines().nth(at).unwrap_or("(the end)").to_string();
        assert!(
            golden == self.text,
            "{} line {}: is\n{}\nwas\n{}\nall of it:\n{}",
            path.display(),
            at + 1,
            line(&self.text),
            line(&golden),
            self.text
        );
    }
}

/// Of three generations the second booted well, and the third is tried.
fn record() -> Record {
    let mut record = Record::first(1);
    record.booted_well(2);
    record.try_next(3);
    record
}

/// What only looks, of each place.
fn looks(session: &mut Session, of: &[&str]) {
    let commands: [&[&str]; 8] = [
        &["generations"],
        &["generations", "--json"],
        &["diff", "1", "2"],
        &["diff", "1", "3", "--json"],
        &["diff", "2", "3", "--files"],
        &["diff", "1", "9"],
        &["boot", "check"],
        &["boot", "check", "--json"],
    ];
    for command in commands {
        session.run(&[command, of].concat());
    }
}

/// What a folder takes of the disk is the file system's; these are of the one in memory.
fn in_memory(made: &Made) -> bool {
    let there = made.root().starts_with("/dev/shm");
    if !there {
        cairn_testkit::skip("needs /dev/shm");
    }
    there
}

#[test]
fn a_machine_in_a_folder() {
    let Some(made) = Made::mounted(&three_systems()).filter(in_memory) else { return };
    made.record(&record());
    made.boot(2);
    let newer = SystemOf { kernel: "6.13", ..SystemOf::named("four") };
    let there = Made::with(&[newer]);
    let (root, from) = (made.root().to_str().unwrap(), there.root().to_str().unwrap());
    let mut session = Session::new(&[(made.root(), "/MACHINE"), (there.root(), "/THERE")]);
    session.title("An empty boot partition");
    looks(&mut session, &["--root", root]);
    session.run(&["boot", "repair", "--root", root]);
    session.title("As it should be");
    looks(&mut session, &["--root", root]);
    let changes: [&[&str]; 14] = [
        &["boot", "repair", "--json"],
        &["gc", "--dry-run"],
        &["gc", "--dry-run", "--keep", "1", "--json"],
        &["rollback"],
        &["rollback", "2", "--json"],
        &["rollback", "9"],
        &["gc", "--drop", "2"],
        &["gc", "--keep", "1"],
        &["gc", "--json"],
        &["upgrade", "--from", from],
        &["upgrade", "--from", from, "--json"],
        &["rollback", "--once", "1"],
        &["boot", "check"],
        &["gc", "--drop", "1", "--drop", "3", "--json"],
    ];
    session.title("Changes");
    for command in changes {
        session.run(&[command, &["--root", root]].concat());
    }
    session.is("folder.txt");
}

#[test]
fn a_machine_in_a_state_of_disrepair() {
    let Some(made) = Made::mounted(&three_systems()).filter(in_memory) else { return };
    let root = made.root().to_str().unwrap();
    let mut session = Session::new(&[(made.root(), "/MACHINE")]);
    made.record(&record());
    made.run(&["boot", "repair"]).done();
    session.title("A generation that cannot be read, a lost record, and a kernel that is cut off");
    made.damage(2, "boot.json");
    fs::remove_file(made.root().join(cairn_boot::RECORD_FILE)).unwrap();
    let kernel = made.boot_files().into_iter().find(|path| path.ends_with("-linux")).unwrap();
    fs::write(made.root().join("boot").join(kernel), "cut").unwrap();
    looks(&mut session, &["--root", root]);
    for command in [&["gc"][..], &["rollback", "3"], &["boot", "repair"], &["gc", "--drop", "3"], &["boot", "check"]] {
        session.run(&[command, &["--root", root]].concat());
    }
    session.is("disrepair.txt");
}

#[test]
fn a_machine_in_an_image() {
    let made = Made::with(&three_systems());
    made.record(&record());
    let image = made.image();
    let mut session = Session::new(&[(&image, "/IMAGE"), (made.root(), "/MACHINE")]);
    let image = image.to_str().unwrap();
    session.run(&["inspect", image]);
    session.run(&["inspect", "--json", image]);
    looks(&mut session, &["--image", image]);
    let code = SystemOf::with_grub("grub");
    let made = Made::with(std::slice::from_ref(&code));
    let image = made.image_with_grub(code.grub.as_ref().unwrap());
    session.places = vec![(image.display().to_string(), "/GRUB")];
    let image = image.to_str().unwrap();
    session.title("With GRUB");
    session.run(&["inspect", image]);
    session.run(&["boot", "check", "--image", image]);
    session.is("image.txt");
}

#[test]
fn what_is_no_machine_and_no_image() {
    let made = Made::new();
    let root = made.root().to_str().unwrap();
    let file = made.root().join("file");
    fs::write(&file, "some text\n").unwrap();
    let file = file.to_str().unwrap();
    let mut session = Session::new(&[(made.root(), "/NOTHING")]);
    let commands: [&[&str]; 8] = [
        &["generations", "--root", root],
        &["generations", "--root", file],
        &["boot", "check", "--root", root],
        &["boot", "repair", "--root", root],
        &["gc", "--root", root],
        &["rollback", "--root", root],
        &["upgrade", "--from", root, "--root", root],
        &["inspect", file],
    ];
    commands.iter().for_each(|command| session.run(command));
    session.is("nothing.txt");
}
