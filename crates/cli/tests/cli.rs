//! What scripts rely on: exit codes, what goes to standard output and what to standard error.
//!
//! Only what needs no network, no package and no QEMU; the rest is in `qemu-tests`.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use cairn_process::Tool;
use serde_json::Value;
use tempfile::TempDir;

#[expect(clippy::disallowed_methods, reason = "what is tested is the command itself, exit codes and all")]
fn cairn(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
    // A cache of its own: no test may depend on what this machine has built before.
    command.current_dir(folder).args(args).env("XDG_CACHE_HOME", folder.join("cache")).stdin(Stdio::null());
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(folder: &Path, args: &[&str]) -> Ran {
    let Output { status, stdout, stderr } = cairn(folder, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap_or_else(|| panic!("{args:?}: {status}")), out: text(stdout), err: text(stderr) }
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn init_writes_a_file_that_check_likes_and_names_it_on_standard_output() {
    let folder = folder();
    let ran = run(folder.path(), &["init", "web.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "web.yaml\n"), "{}", ran.err);
    assert!(fs::read_to_string(folder.path().join("web.yaml")).unwrap().contains("hostname: web\n"));
    let ran = run(folder.path(), &["check", "web.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
    // Until somebody has filled in a password or a key.
    assert!(ran.err.contains(": warning: nobody can log in"), "{}", ran.err);
}

#[test]
fn init_leaves_an_existing_file_alone() {
    let folder = folder();
    write(folder.path(), "machine.yaml", "mine\n");
    let ran = run(folder.path(), &["init"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""));
    assert!(ran.err.contains("machine.yaml exists and is left as it is"), "{}", ran.err);
    assert_eq!(fs::read_to_string(folder.path().join("machine.yaml")).unwrap(), "mine\n");
}

#[test]
fn init_refuses_a_name_that_is_no_host_name() {
    let folder = folder();
    for bad in ["a_b", "-a", "a..b", "", "ä"] {
        let ran = run(folder.path(), &["init", &format!("--hostname={bad}")]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{bad}");
        assert!(!folder.path().join("machine.yaml").exists());
    }
}

const TEN_MISTAKES: &str = "\
version: 1
hostname: -web-
source:
  debian:
    suit: trixie
    packages: [Nginx]
disks:
  main:
    layout: uefy
    size: 10 GB B
timezone: 7
boot:
  timeout: soon
  loder: systemd-boot
users:
  Alice:
    uid: many
files:
  /usr/bin/x:
    text: hello
";

#[test]
fn check_tells_all_problems_at_once_each_with_its_place() {
    let folder = folder();
    write(folder.path(), "bad.yaml", TEN_MISTAKES);
    let ran = run(folder.path(), &["check", "bad.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    let problems: Vec<&str> = ran.err.lines().filter(|l| l.starts_with("bad.yaml:")).collect();
    assert!(problems.len() >= 6, "{}", ran.err);
    for (line, word) in [(5, "suit"), (9, "uefy"), (13, "timeout"), (14, "loder"), (17, "uid")] {
        let start = format!("bad.yaml:{line}:");
        assert!(problems.iter().any(|p| p.starts_with(&start)), "line {line} ({word}):\n{}", ran.err);
    }
    assert!(ran.err.contains("suite") && ran.err.contains("loader"), "no nearest keys:\n{}", ran.err);
    let mut places: Vec<(usize, usize)> = Vec::new();
    for problem in &problems {
        let mut parts = problem.split(':').skip(1).map_while(|p| p.parse().ok());
        places.push((parts.next().unwrap(), parts.next().unwrap()));
    }
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn a_habit_from_elsewhere_is_told_what_is_done_here() {
    let folder = folder();
    let ran = run(folder.path(), &["check", "-"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("`cairn check /dev/stdin` reads what comes through a pipe"), "{}", ran.err);
    write(folder.path(), "machine.yaml", "version: 1\nhostname: UP\n");
    let mut command = cairn(folder.path(), &["check", "/dev/stdin"]);
    let ran = command.stdin(fs::File::open(folder.path().join("machine.yaml")).unwrap()).output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stderr).contains("/dev/stdin:1:1: the key `source` is missing"), "{ran:?}");
}

#[test]
fn check_as_json_is_one_object_and_nothing_else() {
    let folder = folder();
    write(folder.path(), "bad.yaml", TEN_MISTAKES);
    let ran = run(folder.path(), &["check", "--json", "bad.yaml"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["ok"], false);
    let first = &answer["problems"][0];
    assert!(first["line"].is_u64() && first["column"].is_u64() && first["message"].is_string(), "{first}");
    assert_eq!(first["file"], "bad.yaml");

    run(folder.path(), &["init", "good.yaml"]);
    let ran = run(folder.path(), &["check", "--json", "good.yaml"]);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &answer["ok"], &answer["problems"]), (0, &Value::Bool(true), &Value::Array(vec![])));
}

#[test]
fn check_has_in_its_object_what_its_help_says() {
    let folder = folder();
    run(folder.path(), &["init", "good.yaml"]);
    let answer: Value = serde_json::from_str(&run(folder.path(), &["check", "--json", "good.yaml"]).out).unwrap();
    let help = run(folder.path(), &["check", "--help"]).out;
    for key in answer.as_object().unwrap().keys() {
        assert!(help.contains(&format!("`{key}`")), "{key}\n{help}");
    }
}

#[test]
fn check_looks_at_the_files_that_a_machine_file_names() {
    let folder = folder();
    let text = "version: 1
hostname: h
source: {debian: {}}
disks: {main: {layout: uefi}}
users:
  missing: {uid: 1000, hashed_password_file: missing}
  weak: {uid: 1001, hashed_password_file: weak}
  empty: {uid: 1002, hashed_password_file: empty}
files:
  /etc/folder: {source: folder}
  /etc/good: {source: weak}
  /etc/gone: {source: gone}
";
    write(folder.path(), "m.yaml", text);
    write(folder.path(), "weak", "$1$salt$qJH7.N4xYta3aEG/dfqo/0\n");
    write(folder.path(), "empty", "");
    fs::create_dir(folder.path().join("folder")).unwrap();
    let ran = run(folder.path(), &["check", "m.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    let told: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("m.yaml:")).collect();
    assert_eq!(told.len(), 5, "{}", ran.err);
    for (line, words) in
        [(6, "no such file"), (7, "too weak"), (8, "the file is empty"), (10, "and not a file"), (12, "no such file")]
    {
        let start = format!("m.yaml:{line}:");
        assert!(told.iter().any(|told| told.starts_with(&start) && told.contains(words)), "{line}\n{}", ran.err);
    }
    // Through a pipe it is beside nothing.
    let mut command = cairn(folder.path(), &["check", "/dev/stdin"]);
    let ran = command.stdin(fs::File::open(folder.path().join("m.yaml")).unwrap()).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    // On the machine itself the secrets have gone from beside its file.
    let own = folder.path().join("etc/cairn");
    fs::create_dir_all(&own).unwrap();
    write(&own, "machine.yaml", text);
    let ran = run(&own, &["check", "machine.yaml"]);
    let told = ran.err.lines().filter(|line| line.starts_with("machine.yaml:")).count();
    assert_eq!(told, 3, "{}", ran.err);
}

#[test]
fn check_goes_through_all_files() {
    let folder = folder();
    run(folder.path(), &["init", "good.yaml"]);
    write(folder.path(), "empty.yaml", "");
    let ran = run(folder.path(), &["check", "missing.yaml", "good.yaml", "empty.yaml", "."]);
    assert_eq!(ran.code, 1);
    for start in ["missing.yaml:1:1: ", "empty.yaml:1:1: ", ".:1:1: "] {
        assert!(ran.err.lines().any(|l| l.starts_with(start)), "{start}\n{}", ran.err);
    }
    assert!(ran.err.lines().all(|l| !l.starts_with("good.yaml:") || l.contains(": warning: ")), "{}", ran.err);
}

#[test]
fn a_hardware_file_is_read_from_beside_the_machine_file() {
    let folder = folder();
    fs::create_dir(folder.path().join("sub")).unwrap();
    run(folder.path(), &["init", "sub/m.yaml"]);
    let text = fs::read_to_string(folder.path().join("sub/m.yaml")).unwrap();
    write(folder.path(), "sub/m.yaml", &format!("{text}\nhardware: h.yaml\n"));
    let ran = run(folder.path(), &["check", "sub/m.yaml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("h.yaml"), "{}", ran.err);
    write(folder.path(), "sub/h.yaml", "version: 1\ninitrd_modules: [ahci]\n");
    let ran = run(folder.path(), &["check", "sub/m.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn schema_is_json_and_knows_the_disks() {
    let folder = folder();
    let ran = run(folder.path(), &["schema"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let schema: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(schema["properties"]["disks"].is_object(), "{schema}");
}

#[test]
fn wrong_usage_is_2_and_says_so_on_standard_error() {
    let folder = folder();
    for args in [
        &["chekc"][..],
        &[],
        &["check"],
        &["build"],
        &["run", "a", "b"],
        &["build", "m.yaml", "--format", "vhd"],
        &["run", "m.raw", "--memory", "lots"],
        &["run", "m.raw", "--ssh-port", "0"],
        &["verify", "m.raw", "--cpus", "0"],
        &["run", "--persist", "m.yaml"],
    ] {
        let ran = run(folder.path(), args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}: {}", ran.err);
        assert!(!ran.err.is_empty(), "{args:?}");
    }
    assert!(run(folder.path(), &["chekc"]).err.contains("check"), "no nearest command");
}

#[test]
fn help_and_version_are_data() {
    let folder = folder();
    for args in [&["--help"][..], &["--version"], &["build", "--help"], &["run", "-h"]] {
        let ran = run(folder.path(), args);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        assert!(!ran.out.is_empty(), "{args:?}");
    }
}

#[test]
fn a_bad_machine_file_stops_every_command_before_it_does_anything() {
    let folder = folder();
    write(folder.path(), "bad.yaml", TEN_MISTAKES);
    for args in
        [&["lock", "bad.yaml"][..], &["build", "bad.yaml", "-o", "out"], &["run", "bad.yaml"], &["verify", "bad.yaml"]]
    {
        let ran = run(folder.path(), args);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{args:?}: {}", ran.err);
        assert!(ran.err.lines().next().unwrap().starts_with("bad.yaml:"), "{args:?}: {}", ran.err);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.iter().all(|n| n == "bad.yaml" || n == "cache"), "{args:?} left {left:?}");
    }
}

#[test]
fn what_is_no_image_is_told_by_every_command_that_takes_one() {
    let folder = folder();
    write(folder.path(), "notes.txt", "not an image\n");
    write(folder.path(), "empty.raw", "");
    fs::create_dir(folder.path().join("folder.raw")).unwrap();
    // Nobody ever writes into this pipe: whoever opens it as a file waits for ever.
    nix::unistd::mkfifo(&folder.path().join("pipe.raw"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("dangling.raw")).unwrap();
    for command in ["run", "verify", "inspect"] {
        for what in ["notes.txt", "empty.raw", "folder.raw", "missing.raw", "/dev/null", "pipe.raw", "dangling.raw"] {
            let ran = run(folder.path(), &[command, what]);
            assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{command} {what}: {}", ran.err);
            assert!(ran.err.contains(what), "{command} {what}: {}", ran.err);
        }
    }
}

#[test]
fn an_output_that_is_no_folder_of_files_is_refused_before_anything_is_made() {
    let folder = folder();
    run(folder.path(), &["init", "web.yaml"]);
    write(folder.path(), "file", "mine\n");
    std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
    nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (out, words) in [
        ("/dev/cairn-sdz", "/dev/cairn-sdz is a place of the kernel's (/dev)"),
        ("/dev/null", "/dev/null is a device"),
        ("/proc/1", "/proc/1 is a place of the kernel's"),
        ("/sys/x", "/sys/x is a place of the kernel's"),
        ("file", "file is a file, and images are written into a folder"),
        ("file/below", "file is a file, and images are written into a folder"),
        ("dangling", "dangling is a symbolic link that leads nowhere"),
        ("pipe", "pipe is a pipe"),
        ("web.raw", "web.raw is the name of a file, and a folder is wanted"),
        ("new/web.qcow2", "new/web.qcow2 is the name of a file, and a folder is wanted"),
    ] {
        let ran = run(folder.path(), &["build", "web.yaml", "-o", out]);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{out}: {}", ran.err);
        assert!(ran.err.contains(words), "{out}: {}", ran.err);
        assert!(!ran.err.contains("making"), "{out}: {}", ran.err);
    }
    assert!(!Path::new("/dev/cairn-sdz").exists() && !folder.path().join("new").exists());
}

#[test]
fn what_stands_in_an_image_s_place_is_told_before_anything_is_made() {
    let folder = folder();
    run(folder.path(), &["init", "web.yaml"]);
    run(folder.path(), &["init", "db.yaml"]);
    fs::create_dir(folder.path().join("out")).unwrap();
    // The second machine's second format.
    write(folder.path(), "out/db.qcow2", "a letter\n");
    let args = ["build", "web.yaml", "db.yaml", "-o", "out"];
    let ran = run(folder.path(), &args);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    let words = "cairn: out/db.qcow2 is no disk image: it is a text file; a raw image with a partition table or a qcow2 image is \
                 expected; it is left as it is; --force replaces it, -o DIR writes elsewhere\n";
    assert_eq!(ran.err, words);
    let ran = run(folder.path(), &[&args[..], &["--json"]].concat());
    let event: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &event["event"], &event["exit"]), (3, &"error".into(), &3.into()), "{}", ran.out);
    assert!(event["message"].as_str().unwrap().contains("--force replaces it"), "{event}");
    assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
    // What is in the cache has not been asked for, so nobody is told of options there.
    fs::create_dir_all(folder.path().join("cache/cairn/images")).unwrap();
    write(folder.path(), "cache/cairn/images/web.raw", "a letter\n");
    for command in ["run", "verify"] {
        let ran = run(folder.path(), &[command, "web.yaml"]);
        assert_eq!(ran.code, 3, "{command}: {}", ran.err);
        assert!(
            ran.err.contains("it is the cache's image of this machine") && !ran.err.contains("--force"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = folder();
    let mut child = cairn(folder.path(), &["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal(), err.as_str()), (Some(0), None, ""));
}

#[test]
fn standard_output_that_is_full_is_a_failure() {
    let folder = folder();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = cairn(folder.path(), &["schema"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("cairn: writing to standard output: "));
}

#[test]
fn hardware_prints_a_hardware_file_and_keeps_the_seed_of_one_it_replaces() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("pc/sys/devices")).unwrap();
    let ran = run(folder.path(), &["hardware", "--root", "pc"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("version: 1\n"), "{}", ran.out);

    let seed = "seed: 12345678-9abc-4def-8123-456789abcdef\n";
    write(folder.path(), "hw.yaml", &format!("version: 1\n{seed}"));
    let ran = run(folder.path(), &["hardware", "--root", "pc", "-o", "hw.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "hw.yaml\n"), "{}", ran.err);
    assert!(fs::read_to_string(folder.path().join("hw.yaml")).unwrap().contains(seed));

    write(folder.path(), "hw.yaml", "precious\n");
    let ran = run(folder.path(), &["hardware", "--root", "pc", "-o", "hw.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    assert_eq!(fs::read_to_string(folder.path().join("hw.yaml")).unwrap(), "precious\n");

    let ran = run(folder.path(), &["hardware", "--root", "nowhere"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("nowhere/sys"), "{}", ran.err);
}

/// A computer with one NVMe disk, of a virtual machine.
fn record(folder: &Path) {
    use std::os::unix::fs::symlink;
    let device = "pc/sys/devices/pci0000:00/0000:00:04.0";
    for (path, text) in [
        ("class", "0x010802\n"),
        ("vendor", "0x1b36\n"),
        ("device", "0x0010\n"),
        ("nvme/nvme0/nvme0n1/size", "2097152\n"),
        ("nvme/nvme0/nvme0n1/dev", "259:0\n"),
    ] {
        let path = format!("{device}/{path}");
        fs::create_dir_all(folder.join(&path).parent().unwrap()).unwrap();
        write(folder, &path, text);
    }
    fs::create_dir_all(folder.join("pc/proc")).unwrap();
    write(folder, "pc/proc/cpuinfo", "flags\t: vmx hypervisor\n");
    for made in ["pc/sys/bus/pci/devices", "pc/sys/bus/pci/drivers/nvme", "pc/sys/class/block", "pc/sys/module/nvme"] {
        fs::create_dir_all(folder.join(made)).unwrap();
    }
    for (target, link) in [
        ("../../../devices/pci0000:00/0000:00:04.0", "bus/pci/devices/0000:00:04.0"),
        ("../../../bus/pci/drivers/nvme", "devices/pci0000:00/0000:00:04.0/driver"),
        ("../../../../module/nvme", "bus/pci/drivers/nvme/module"),
        ("../../devices/pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "class/block/nvme0n1"),
    ] {
        symlink(target, folder.join("pc/sys").join(link)).unwrap();
    }
}

#[test]
fn hardware_explains_itself_and_speaks_json_and_nix() {
    let folder = folder();
    record(folder.path());
    let ran = run(folder.path(), &["hardware", "--root", "pc", "--explain"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for words in [
        "nvme0n1: 1G, nvme, sectors of 512 bytes\n",
        "\n  nvme    PCI 0000:00:04.0, storage; disk nvme0n1\n",
        "no kernel was found",
    ] {
        assert!(ran.out.contains(words), "no {words:?} in {}", ran.out);
    }
    let ran = run(folder.path(), &["hardware", "--root", "pc", "--json"]);
    let record: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(record["initrd_modules"][0]["name"], "nvme");
    assert_eq!(record["initrd_modules"][0]["state"], "unknown");
    assert_eq!(record["kernel_modules"][0]["name"], "kvm_intel");
    let ran = run(folder.path(), &["hardware", "--root", "pc", "--nix", "-o", "hw.nix"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "hw.nix\n"), "{}", ran.err);
    let text = fs::read_to_string(folder.path().join("hw.nix")).unwrap();
    assert!(text.contains("boot.initrd.availableKernelModules = [ \"nvme\" ];"), "{text}");
    for two in [["--json", "--nix"], ["--explain", "--json"], ["--nix", "--explain"]] {
        assert_eq!(run(folder.path(), &[&["hardware"][..], &two].concat()).code, 2, "{two:?}");
    }
}

#[test]
fn hardware_says_what_differs_from_a_file_as_diff_does() {
    let folder = folder();
    record(folder.path());
    let diff = |more: &[&str]| run(folder.path(), &[&["hardware", "--root", "pc", "--diff", "hw.yaml"], more].concat());
    let missing = diff(&[]);
    assert_eq!(missing.code, 3, "{}", missing.err);
    assert!(missing.err.contains("hw.yaml is not there"), "{}", missing.err);
    run(folder.path(), &["hardware", "--root", "pc", "-o", "hw.yaml"]);
    let same = diff(&[]);
    assert_eq!((same.code, same.out.as_str()), (0, ""), "{}", same.err);
    write(folder.path(), "hw.yaml", "version: 1\ninitrd_modules: [ahci]\nkernel_modules: [kvm-intel]\n");
    let other = diff(&[]);
    assert_eq!(other.code, 1, "{}", other.err);
    assert_eq!(
        other.out,
        "+ initrd_modules  nvme  PCI 0000:00:04.0, storage; disk nvme0n1\n\
         - initrd_modules  ahci  nothing here asks for it now\n"
    );
    let json: serde_json::Value = serde_json::from_str(&diff(&["--json"]).out).unwrap();
    assert_eq!((&json["same"], &json["differences"][0]["side"]), (&false.into(), &"new".into()));
    write(folder.path(), "hw.yaml", "initrd_modules: {}\n");
    let wrong = diff(&[]);
    assert_eq!(wrong.code, 3);
    assert!(wrong.err.contains("hw.yaml is no hardware file") && wrong.err.contains("hw.yaml:1:"), "{}", wrong.err);
}

/// As `nixos-generate-config --root`: the hardware of this computer, and what is mounted below a folder.
#[test]
fn hardware_of_a_system_that_is_mounted_has_its_file_systems_and_its_kernel() {
    let folder = folder();
    fs::create_dir(folder.path().join("mnt")).unwrap();
    let script = "mount -t tmpfs -o mode=0700 it mnt && mkdir -p mnt/home mnt/lib/modules/6.1-its mnt/etc && \
                  mount -t tmpfs -o nosuid,size=5m its mnt/home && touch mnt/lib/modules/6.1-its/modules.dep && \
                  \"$0\" hardware --root mnt --nix && echo ==== && \"$0\" hardware --root mnt --json";
    let mounts = |script: &str| {
        let tool = Tool::new("unshare", "util-linux", "have mounts of one's own").args(["-m", "sh", "-ec", script]);
        tool.arg(env!("CARGO_BIN_EXE_cairn")).dir(folder.path()).output()
    };
    if mounts("mount -t tmpfs it mnt").is_err() {
        return cairn_testkit::skip("needs root, for mounts");
    }
    let output = String::from_utf8(mounts(script).unwrap()).unwrap();
    let (nix, json) = output.split_once("====").unwrap();
    assert!(nix.contains("fileSystems.\"/\" =\n    { device = \"tmpfs\";"), "{nix}");
    assert!(nix.contains("fileSystems.\"/home\" =") && nix.contains("\"nosuid\" \"size=5120k\""), "{nix}");
    assert!(!nix.contains("mnt"), "{nix}");
    let record: Value = serde_json::from_str(json).unwrap();
    assert_eq!(record["kernel"]["release"], "6.1-its");
}

#[test]
fn a_rehearsal_on_disks_that_a_file_has_singles_one_out_or_shows_them() {
    let folder = folder();
    let machine = "version: 1\nhostname: a\nsource: {debian: {}}\ndisks: {main: {layout: uefi}}\n";
    write(folder.path(), "m.yaml", machine);
    let rehearse =
        |more: &[&str]| run(folder.path(), &[&["rehearse", "m.yaml", "--hardware", "hw.yaml"], more].concat());
    write(folder.path(), "hw.yaml", "version: 1\n");
    let ran = rehearse(&[]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("hw.yaml has no disks: run `cairn hardware -o hardware.yaml` as root"), "{}", ran.err);

    let disk = |name: &str, serial: &str| {
        format!(
            "  - {{name: {name}, serial: {serial}, by_id: [ata-{serial}], transport: sata, bytes: 8589934592, sector_size: 512}}\n"
        )
    };
    write(folder.path(), "hw.yaml", &format!("version: 1\ndisks:\n{}{}", disk("sda", "one"), disk("sdb", "two")));
    for (selector, why) in [
        (&[][..], "2 disks are like that: sda, sdb"),
        (&["--disk", "size=1G..1T"], "2 disks are like that: sda, sdb"),
        (&["--disk", "serial=three"], "no disk is like that"),
        (&["--disk", "/dev/disk/by-id/ata-three"], "no disk is like that"),
    ] {
        let ran = rehearse(selector);
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(ran.err.contains(why) && ran.err.contains("could be installed on"), "{}", ran.err);
    }
    // One that is singled out is held against the firmware next, before anything is made.
    let with_bios = format!("version: 1\nfirmware: bios\ndisks:\n{}{}", disk("sda", "one"), disk("sdb", "two"));
    write(folder.path(), "hw.yaml", &with_bios);
    for selector in ["serial=two", "/dev/disk/by-id/ata-two", "/dev/sdb"] {
        let ran = rehearse(&["--disk", selector]);
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.err.contains("m.yaml:4:9: that computer is not started by UEFI"), "{}", ran.err);
    }
    // What is wrong with it is said with its place.
    write(folder.path(), "hw.yaml", "version: 1\ndisks: [{name: sda, bytes: 1048576, sector_size: 520}]\n");
    let ran = rehearse(&[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("hw.yaml:2:") && ran.err.contains("sectors of 512 or 4096 bytes"), "{}", ran.err);
}
