//! One machine's `/var`, boot after boot, in a folder that stands for its root.

use std::fs;
use std::os::unix::fs::symlink;

use super::super::plan::LOCAL;
use super::*;

/// A machine in a folder of its own. Files get owners, so only root has one.
struct Machine {
    dir: PathBuf,
    generation: u64,
}

impl Machine {
    fn new(name: &str) -> Option<Machine> {
        if !nix::unistd::geteuid().is_root() {
            cairn_testkit::skip("needs root, for owners");
            return None;
        }
        let dir = std::env::temp_dir().join(format!("cairn-stage1-var-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for folder in ["var/lib/cairn", "var/usrlocal"] {
            fs::create_dir_all(dir.join("root").join(folder)).unwrap();
        }
        fs::create_dir_all(dir.join("victim")).unwrap();
        let machine = Machine { dir, generation: 1 };
        machine
            .base("a", &["var/www/html/index.html", "var/cache/man/index", "var/lib/db/data.mdb", "usr/local/share/x"]);
        symlink("db", machine.of_base("a", "var/lib/current")).unwrap();
        Some(machine)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.join("root").join(path)
    }

    fn of_base(&self, base: &str, path: &str) -> PathBuf {
        self.at("nix/store").join(base).join(path)
    }

    fn base(&self, name: &str, files: &[&str]) {
        for file in files {
            let path = self.of_base(name, file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
    }

    fn try_boot(&self, base: &str) -> Result<(), Error> {
        let base = Path::new("/nix/store").join(base);
        let booting = Booting { base: &base, generation: Some(self.generation) };
        let special = [Special { mode: 0o2750, uid: 7, gid: 8, path: "var/lib/db".into(), capability: None }];
        let root = Root::open(&self.dir.join("root")).unwrap();
        fill(&root, booting, &special, &mut Notes::default())?;
        fs::create_dir_all(self.at("var/lib")).unwrap();
        let _ = symlink("/run/current-system/base/var/lib/dpkg", self.at("var/lib/dpkg"));
        Ok(())
    }

    /// Boots, and gives what is in /var and /usr/local now.
    fn boot(&self, base: &str) -> Vec<String> {
        self.try_boot(base).unwrap();
        assert!(fs::read_dir(self.dir.join("victim")).unwrap().next().is_none(), "something was made outside");
        let mut found = Vec::new();
        let mut waiting = vec![self.at("var")];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    waiting.push(entry.path());
                } else {
                    found.push(entry.path().strip_prefix(self.at("var")).unwrap().to_str().unwrap().to_string());
                }
            }
        }
        found.retain(|path| !path.starts_with("lib/cairn") && path != "lib/dpkg");
        found.sort();
        found
    }

    /// A generation's link.
    fn link(&self, number: u64, base: &str) {
        let system = Path::new("/nix/store").join(format!("{number}-system"));
        let here = self.at(&system.to_str().unwrap()[1..]);
        fs::create_dir_all(&here).unwrap();
        symlink(Path::new("/nix/store").join(base), here.join("base")).unwrap();
        fs::create_dir_all(self.at("nix/var/nix/profiles")).unwrap();
        symlink(system, self.at(&format!("nix/var/nix/profiles/system-{number}-link"))).unwrap();
    }

    /// The generations that have booted well.
    fn good(&self, numbers: &[u64]) {
        let text = format!("{{\n  \"version\": 1,\n  \"good\": {numbers:?},\n  \"failed\": []\n}}\n");
        fs::write(self.at("var/lib/cairn/boot.json"), text).unwrap();
    }

    fn record(&self) -> PathBuf {
        self.at("var/lib/cairn/given")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

const ALL: [&str; 5] = ["cache/man/index", "lib/current", "lib/db/data.mdb", "usrlocal/share/x", "www/html/index.html"];

#[test]
fn a_fresh_machine_gets_everything_with_its_owners_and_what_is_removed_stays_away() {
    let Some(machine) = Machine::new("fresh") else { return };
    assert_eq!(machine.boot("a"), ALL);
    let meta = machine.at("var/lib/db").metadata().unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o2750, 7, 8));
    assert_eq!(machine.at("var/www/html/index.html").metadata().unwrap().mode() & 0o7777, 0o644);
    assert_eq!(fs::read_link(machine.at("var/lib/current")).unwrap(), Path::new("db"));
    let written = fs::metadata(machine.record()).unwrap().ino();

    fs::remove_file(machine.at("var/www/html/index.html")).unwrap();
    fs::remove_file(machine.at("var/lib/current")).unwrap();
    fs::remove_dir_all(machine.at("var/lib/db")).unwrap();
    let left = ["cache/man/index", "usrlocal/share/x"];
    for _ in 0..2 {
        assert_eq!(machine.boot("a"), left);
        assert_eq!(fs::metadata(machine.record()).unwrap().ino(), written, "nothing is written where nothing is new");
    }
    assert!(!machine.at("var/lib/db").exists() && machine.at("var/www/html").is_dir());
    assert!(!machine.at("var/lib/cairn/filling").exists() && !machine.at("var/lib/cairn/given.filling").exists());

    // Whoever wants something again takes its line out.
    let text = fs::read_to_string(machine.record()).unwrap();
    fs::write(machine.record(), text.replace("have var/www/html/index.html\n", "")).unwrap();
    assert_eq!(machine.boot("a"), ["cache/man/index", "usrlocal/share/x", "www/html/index.html"]);
}

#[test]
fn a_new_base_gives_what_is_new_in_it_and_nothing_that_was_removed() {
    let Some(machine) = Machine::new("new") else { return };
    machine.boot("a");
    fs::remove_file(machine.at("var/www/html/index.html")).unwrap();
    fs::write(machine.at("var/lib/db/data.mdb"), "mine").unwrap();
    let all = ["var/www/html/index.html", "var/cache/man/index", "var/lib/db/data.mdb", "usr/local/share/x"];
    machine.base("b", &all);
    machine.base("b", &["var/lib/new/state", "var/lib/db/lock", "var/lib/cairn/accounts", "var/lib/dpkg/status"]);
    let left =
        ["cache/man/index", "lib/current", "lib/db/data.mdb", "lib/db/lock", "lib/new/state", "usrlocal/share/x"];
    assert_eq!(machine.boot("b"), left);
    assert_eq!(fs::read_to_string(machine.at("var/lib/db/data.mdb")).unwrap(), "mine");
    assert!(!machine.at("var/lib/cairn/accounts").exists(), "no base has a word in the helper's own state");
    // Back and forth.
    fs::remove_file(machine.at("var/lib/db/lock")).unwrap();
    for base in ["a", "b", "a", "b"] {
        let left = machine.boot(base);
        assert!(!left.contains(&"lib/db/lock".into()) && !left.contains(&"www/html/index.html".into()), "{left:?}");
    }
}

#[test]
fn a_folder_that_went_while_its_package_was_out_comes_back_with_it_and_a_file_does_not() {
    let Some(machine) = Machine::new("again") else { return };
    machine.boot("a");
    machine.base("without", &["var/cache/man/index"]);
    fs::remove_file(machine.at("var/www/html/index.html")).unwrap();
    machine.boot("without");
    fs::remove_dir_all(machine.at("var/lib/db")).unwrap();
    assert_eq!(machine.boot("a"), ["cache/man/index", "lib/current", "lib/db/data.mdb", "usrlocal/share/x"]);
    fs::remove_dir_all(machine.at("var/lib/db")).unwrap();
    assert_eq!(machine.boot("a"), ["cache/man/index", "lib/current", "usrlocal/share/x"]);
}

#[test]
fn whatever_is_in_the_place_of_a_folder_is_left_alone() {
    let Some(machine) = Machine::new("links") else { return };
    let victim = machine.dir.join("victim");
    type Make<'a> = &'a dyn Fn(&Path);
    let make: [(&str, Make<'_>); 6] = [
        ("an absolute link", &|path| symlink("/srv/moved", path).unwrap()),
        ("a link out", &|path| symlink(&victim, path).unwrap()),
        ("a relative link out", &|path| symlink("../../../../../../victim", path).unwrap()),
        ("a loop", &|path| symlink(path.file_name().unwrap(), path).unwrap()),
        ("a file", &|path| fs::write(path, "own").unwrap()),
        ("a FIFO", &|path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).unwrap()),
    ];
    for place in ["var/cache", "var/lib/db", "var/www/html", "var/usrlocal", "var/usrlocal/share"] {
        for (what, make) in make {
            let _ = fs::remove_dir_all(machine.at("var"));
            fs::create_dir_all(machine.at("var/lib/cairn")).unwrap();
            fs::create_dir_all(machine.at("var/usrlocal")).unwrap();
            machine.boot("a");
            let path = machine.at(place);
            fs::remove_dir_all(&path).unwrap();
            make(&path);
            let before = fs::symlink_metadata(&path).unwrap().ino();
            // With and without a record of what was given.
            machine.boot("a");
            fs::remove_file(machine.record()).unwrap();
            fs::remove_file(machine.at("var/lib/dpkg")).unwrap();
            machine.boot("a");
            assert_eq!(fs::symlink_metadata(&path).unwrap().ino(), before, "{what} at {place}");
            assert!(machine.at("var/lib/cairn/given").is_file());
        }
    }
}

#[test]
fn what_a_power_cut_left_is_made_whole() {
    let Some(machine) = Machine::new("cut") else { return };
    let state = machine.at("var/lib/cairn");
    // Files were being copied; one was there already, as was what becomes the record.
    fs::create_dir_all(state.join("filling/3/html")).unwrap();
    fs::write(state.join("filling/0"), "half").unwrap();
    fs::write(state.join("given.filling"), "base /nix/store/a\nhave var/www\nend 1\n").unwrap();
    fs::write(state.join(".cairn-new"), "half").unwrap();
    fs::create_dir_all(machine.at("var/cache/man")).unwrap();
    assert_eq!(machine.boot("a"), ALL);
    assert_eq!(fs::read_to_string(machine.at("var/cache/man/index")).unwrap(), "var/cache/man/index");
}

#[test]
fn a_machine_without_a_record_that_has_booted_before_was_given_what_its_generations_bases_have() {
    let Some(mut machine) = Machine::new("lost") else { return };
    machine.boot("a");
    // Two upgrades before a restart: both have the base that is new.
    for (number, base) in [(1, "a"), (2, "b"), (3, "b")] {
        machine.link(number, base);
    }
    machine.good(&[1]);
    machine.base("b", &["var/www/html/index.html", "var/lib/new/state"]);
    fs::remove_file(machine.at("var/www/html/index.html")).unwrap();
    let damaged = [None, Some(""), Some("base /nix/store/a\nhave var/w"), Some("\0\0\0\0\0\0")];
    for text in damaged {
        let lose = || match text {
            None => fs::remove_file(machine.record()).unwrap(),
            Some(text) => fs::write(machine.record(), text).unwrap(),
        };
        lose();
        assert!(!machine.boot("a").contains(&"www/html/index.html".into()), "{text:?}");
    }
    // The base is new on this machine: only what is new in it comes.
    machine.generation = 3;
    fs::remove_file(machine.record()).unwrap();
    let now = machine.boot("b");
    assert!(now.contains(&"lib/new/state".into()) && !now.contains(&"www/html/index.html".into()), "{now:?}");
    // It is not new any more.
    machine.good(&[1, 3]);
    fs::remove_dir_all(machine.at("var/lib/new")).unwrap();
    fs::remove_file(machine.record()).unwrap();
    assert!(!machine.boot("b").contains(&"lib/new/state".into()));
    // Neither a folder nor a FIFO in its place stops anything, and the next record is one.
    for make in [
        |path: &Path| fs::create_dir_all(path.join("x")).unwrap(),
        |path: &Path| {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        },
    ] {
        fs::remove_file(machine.record()).unwrap();
        make(&machine.record());
        assert!(!machine.boot("a").contains(&"www/html/index.html".into()));
        assert!(machine.record().is_file());
    }
}

#[test]
fn a_first_boot_without_a_record_gets_what_is_new_whatever_the_other_generations_are() {
    for record_of_boots in [Some([1].as_slice()), Some(&[]), None] {
        let Some(mut machine) = Machine::new("untried") else { return };
        machine.boot("a");
        machine.link(1, "a");
        machine.link(2, "b");
        machine.base("b", &["var/lib/new/state"]);
        if let Some(good) = record_of_boots {
            machine.good(good);
        }
        // Where a new generation has no tries, nothing else says that it is new.
        machine.generation = 2;
        fs::remove_file(machine.record()).unwrap();
        assert!(machine.boot("b").contains(&"lib/new/state".into()), "{record_of_boots:?}");
    }
}

#[test]
fn what_cannot_be_made_is_tried_again() {
    let Some(machine) = Machine::new("lack") else { return };
    // A file that says that it is larger than any disk.
    let huge = machine.of_base("a", "var/lib/db/huge");
    fs::File::create(&huge).unwrap().set_len(1 << 43).unwrap();
    assert_eq!(machine.boot("a"), ALL);
    assert!(fs::read_to_string(machine.record()).unwrap().contains("lack var/lib/db/huge\n"));
    fs::remove_file(machine.at("var/www/html/index.html")).unwrap();
    fs::write(&huge, "small").unwrap();
    let now = machine.boot("a");
    assert!(now.contains(&"lib/db/huge".into()) && !now.contains(&"www/html/index.html".into()), "{now:?}");
    assert!(fs::read_to_string(machine.record()).unwrap().contains("have var/lib/db/huge\n"));
}

#[test]
fn a_base_of_any_shape_is_read_within_bounds() {
    let Some(machine) = Machine::new("shape") else { return };
    let mut deep = machine.of_base("a", "var/lib/deep");
    for _ in 0..200 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    nix::unistd::mkfifo(&machine.of_base("a", "var/lib/fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    symlink("loop", machine.of_base("a", "var/lib/loop")).unwrap();
    fs::write(machine.of_base("a", "var/lib/two words\n\u{1b}[31m"), "x").unwrap();
    let now = machine.boot("a");
    assert!(now.contains(&"lib/two words\n\u{1b}[31m".into()) && now.contains(&"lib/loop".into()), "{now:?}");
    assert!(!machine.at("var/lib/fifo").exists());
    assert_eq!(LOCAL, "/var/usrlocal");
}
