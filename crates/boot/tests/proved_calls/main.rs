//! The calls of a mounted boot partition are those that were proved: each operation runs under strace, and what it called is
//! compared with the very case that `qemu-tests` records and judges (`replay::cases`). So no sync, no hold and no reservation
//! can go from the code, nor from the case, while the other still has it.

mod proved;
mod recorded;

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use cairn_boot::Volume;
use cairn_boot::effects::Mounted;
use proved::Text;
use qemu_tests::replay::primitive::BARRIER;
use qemu_tests::replay::script::Step;
use tempfile::TempDir;

/// Calls operations of a partition.
type Operate = fn(&mut Mounted);

/// An operation, or a few, and the text of what was proved.
struct Proved {
    text: Text,
    done: Operate,
}

const PLAIN: &str = "loader/entries/new-entry-2.conf";
const COUNTED: &str = "loader/entries/new-entry-2+2-1.conf";
const PROGRAM: &str = "EFI/a/boot.efi";
/// What a power cut has left beside the program.
const LEFT: &str = "create o EFI/a/boot.efi.new @15:100000\nclose o";

fn create(volume: &mut Mounted, path: &str, len: usize) {
    volume.create(path, &mut &*vec![7; len], len as u64).unwrap();
}

fn replace(volume: &mut Mounted, path: &str, len: usize) {
    volume.replace(path, &mut &*vec![7; len], len as u64).unwrap();
}

fn bless(volume: &mut Mounted) {
    create(volume, PLAIN, 700);
    volume.remove(COUNTED).unwrap();
}

/// Every operation, and every case that says what it is made of.
fn all() -> Vec<Proved> {
    let all: [(Text, Operate); 12] = [
        (Text::case("new"), |volume| create(volume, PLAIN, 900)),
        (Text::case("new-big"), |volume| create(volume, "cairn/m/k2-linux", 100_000)),
        (Text::case("mkdir"), |volume| create(volume, "cairn/n/k2-linux", 900)),
        (Text::folders_of_case("mkdir", "cairn"), |volume| create(volume, "cairn/n/n/k2-linux", 900)),
        (Text::case("replace"), |volume| replace(volume, PROGRAM, 100_000)),
        (Text::again("replace", LEFT), |volume| replace(volume, PROGRAM, 700)),
        (Text::case("one-sector-in-place"), |volume| volume.overwrite("loader/loader.conf", &[7; 512]).unwrap()),
        (Text::case("bless"), bless),
        (Text::again("bless", "create o loader/entries/new-entry-2.conf @10:0\nclose o"), |volume| {
            volume.remove(PLAIN).unwrap();
            bless(volume);
        }),
        (Text::case("delete"), |volume| {
            volume.remove("loader/entries/old-entry-0.conf").unwrap();
            volume.remove("cairn/m/k0-linux").unwrap();
        }),
        (Text::of(BARRIER), |volume| volume.barrier().unwrap()),
        // Nothing is written for a name that is not in use.
        (Text::of(""), |volume| {
            let error = volume.replace("loader/none", &mut &b"x"[..], 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
        }),
    ];
    all.into_iter().map(|(text, done)| Proved { text, done }).collect()
}

/// The process looks for these in a partition when it begins, and when it is done.
const BEGIN: &str = "begin";
const END: &str = "end";

/// What runs under strace.
#[test]
#[ignore = "run by the others as a process of its own"]
fn child() {
    let Some(folder) = std::env::var_os("CHILD_FOLDER") else { return };
    let folder = Path::new(&folder);
    for (n, proved) in all().iter().enumerate() {
        let partition = folder.join(n.to_string());
        let mut volume = Mounted::open(&partition).unwrap();
        let _ = fs::File::open(partition.join(BEGIN));
        (proved.done)(&mut volume);
        let _ = fs::File::open(partition.join(END));
    }
    let volume = Mounted::open(folder).unwrap();
    let mut back = String::new();
    volume.open_on_disk("read").unwrap().read_to_string(&mut back).unwrap();
    assert_eq!(back, "from the disk");
}

/// Makes what the partition holds at first.
fn prepare(steps: &[Step], partition: &Path) {
    fs::create_dir(partition).unwrap();
    for step in steps {
        match step {
            Step::Mkdir(path) => fs::create_dir(partition.join(path)).unwrap(),
            Step::Create(_, path, content) => fs::write(partition.join(path), content.bytes()).unwrap(),
            Step::Fsync(_) | Step::Close(_) => {}
            other => panic!("{other:?} in what a case begins with"),
        }
    }
}

/// A folder in memory, where a sync costs nothing.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// The process's calls as strace writes them down; nothing where there is no strace.
#[expect(clippy::disallowed_methods, reason = "what is tested is a process of this binary")]
fn traced(folder: &Path) -> Option<String> {
    let can =
        Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success());
    if !can {
        cairn_testkit::skip("needs strace");
        return None;
    }
    let calls = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new("strace")
        // Whatever takes a path or a descriptor, which is told with the path that it is open at.
        .args(["-f", "-qq", "-y", "-e", "trace=%file,%desc", "-e", "signal=none", "-o"])
        .arg(calls.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env_remove("LD_LIBRARY_PATH")
        .env("CHILD_FOLDER", folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(fs::read_to_string(calls.path()).unwrap())
}

#[test]
fn the_calls_of_every_operation_are_those_that_were_proved() {
    let folder = folder();
    let all = all();
    for (n, proved) in all.iter().enumerate() {
        prepare(&proved.text.setup, &folder.path().join(n.to_string()));
    }
    fs::write(folder.path().join("read"), "from the disk").unwrap();
    let Some(lines) = traced(folder.path()) else { return };
    for (n, Proved { text, .. }) in all.iter().enumerate() {
        let partition = folder.path().join(n.to_string());
        let own = recorded::between(&lines, &partition, BEGIN, END);
        assert_eq!(recorded::steps(&own, &partition), text.plain(), "{}, called:\n{}", text.name, own.join("\n"));
    }

    // What the memory has of a file that is to come from the disk is dropped before anything of it is read.
    let file = folder.path().join("read").display().to_string();
    let uses = ["fadvise64", "read", "pread64", "readv", "mmap"].map(|name| format!(" {name}("));
    let uses: Vec<&str> = lines
        .lines()
        .filter(|line| line.contains(&format!("<{file}>")) && uses.iter().any(|name| line.contains(name)))
        .collect();
    assert!(uses[0].contains(" fadvise64(") && uses[0].contains(", 0, 0, POSIX_FADV_DONTNEED) = 0"), "{uses:#?}");
    assert!(uses[1].contains(" read("), "{uses:#?}");
}
