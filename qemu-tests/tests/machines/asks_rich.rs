//! `cairn install` without a machine file, on a screen: lists, keys, Ctrl-C wherever somebody may press it, and back out of the last page.
//! Afterwards the cursor is seen, what is typed is shown, and no byte of a disk has changed.

use std::fs;

use anyhow::{Context, Result, ensure};
use qemu_tests::hello::Hello;
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Cmd, Scenario, workbench};

pub const SCENARIO: Scenario = Scenario {
    name: "who is asked on a screen chooses by keys, ends where they like, and finds the terminal as it was",
    needs: UML,
    run,
};

/// A person at a terminal. `begin` starts the command there, `types WORDS KEYS` waits until the words are on the screen, and types;
/// `ends CODE` waits for its end, and looks at the terminal that it leaves.
pub const PERSON: &str = r#"
begin() {
    rm -f keys screen; mkfifo keys; exec 3<>keys; : >screen; at=0
    # A shell lets what it starts beside itself ignore Ctrl-C.
    TERM=${TERM_THERE-linux} env --default-signal=INT script -qefc "trap : INT; stty rows $1 cols $2; stty -a >before; ${3:-} $CAIRN install --elsewhere ${4:-}
        echo ended with \$?; stty -a >after" screen <keys >/dev/null 2>&1 &
}
since() { tail -c +$((at + 1)) screen; }
types() {
    local tries=0 found
    until found=$(since | grep -aboF -- "$1" | head -n 1) && [ -n "$found" ]; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || { echo "the screen does not show: $1"; since | cat -v; return 1; }
        sleep 0.1
    done
    at=$((at + ${found%%:*} + ${#1}))
    printf "$2" >&3
}
ends() {
    types "ended with $1" ''
    wait || true
    exec 3>&-
    cmp before after
    # Whether the cursor is seen is what was said of it last.
    [ "$(grep -aoF -e "$(printf '\033[?25l')" -e "$(printf '\033[?25h')" screen | tail -n 1)" != "$(printf '\033[?25l')" ]
    # Nothing but what every console has.
    ! LC_ALL=C.UTF-8 grep -aqP '[^\x00-\xff]' screen
}
stop() { types "$1" '\003'; types 'Stop?' ''; types '  Stop' '\033[B\r'; ends 3; }
no_stop() { types "$1" '\003'; types 'Stop?' ''; types '  Stop' '\r'; }
"#;

/// To the last page, by all kinds of keys.
const QUESTIONS: &str = r#"
# A language is found by its letters; one that is a mistake is taken back.
types '1 of 10' ''
types 'find:' 'deutschl'
types 'find: deutschl|' '\r'
types '> Deutsch (Deutschland)' ''
types '2 of 10' ''
types 'find:' '\033'
types '1 of 10' ''
no_stop '  1  English, with'
types 'find:' '<\r'
types 'this is the first question' ''
types '> ' '\r'
types '2 of 10' ''
types 'find:' '?'
types 'find: ?|' '\r'
types 'The layout of the machine' ''
types 'find:' 'english (us)'
types 'find: english (us)|' '\r'
types '> English (US) (us)' ''
types '3 of 10' ''
types 'find:' '\r'
types '> UTC' ''
types '4 of 10' ''
types 'ubdb' '\033[B\r'
types '5 of 10' ''
types 'find:' '\r'
types '> The whole disk' ''
types '6 of 10' ''
types 'None' '\033[B\033[A\r'
types '> None' ''
types '7 of 10' ''
no_stop '[hello] > '
types '[hello] > ' 'web-22\177\177\1771x\033[D\033[3~\r'
types '8 of 10' ''
types '> ' '\033'
types '7 of 10' ''
types '[hello] > ' 'web-1\r'
types '8 of 10' ''
types '> ' 'anna\r'
types '9 of 10' ''
no_stop '> '
types '> ' 'secret\r'
types 'once more: ' 'other\r'
types 'the two are not the same' ''
types '> ' 'secret\r'
types 'once more: ' 'secret\r'
types '10 of 10' ''
types '[none] > ' 'ssh-ed25519 THIS-IS-LONGER-THAN-ANY-LINE-OF-THIS-TERMINAL-BY-FAR-AND-STILL-SCROLLS-IN-ITS-OWN-LINE-AND-IS-NO-KEY\r'
types 'SSH public key' ''
types '[none] > ' '\r'
"#;

/// The same on a narrow one, where most is as it is offered. A disk's name has lost its middle there.
const NARROW: &str = r#"
types '1 of 10' ''; types 'find:' 'zzz\r\177\177\177'; types 'find: |' '\033[B\033[B\r'
types '2 of 10' ''; types 'find:' '\r'
types '3 of 10' ''; types 'find:' 'utc'; types 'find: utc|' '\r'; types '> UTC' ''
types '4 of 10' ''; types 'ubdb' '\033[B\r'
types '5 of 10' ''; types 'find:' '\r'
types '6 of 10' ''; types 'find:' '\r'
types '7 of 10' ''; types '[hello] > ' 'a-name-that-does-not-fit-in\001\033[3~\033[3~\005\177\177\177\r'
types '8 of 10' ''; types '> ' 'anna\r'
types '9 of 10' ''; types '> ' 'secret\r'; types 'once more: ' 'secret\r'
types '10 of 10' ''; types '[none] > ' '\r'
"#;

/// The last page, with a mistake in the file and a wrong name, and all the way back out.
const LAST: &str = r#"
pages() { until types_or_more "$1"; do :; done; }
types_or_more() {
    local tries=0
    # Both are looked for in one look: what comes between two would be asked for more than once.
    until since >seen; grep -qaF -- "$1" seen; do
        if grep -qaF 'Enter shows more' seen; then types 'Enter shows more' '\r'; return 1; fi
        tries=$((tries + 1)); [ $tries -lt 300 ] || { echo "no: $1"; since | cat -v; exit 1; }
        sleep 0.1
    done
}
pages 'What now?'
types 'What now?' ''
types 'Go on' '\033[B\033[B\033[B\r'
pages 'hostname: '
pages 'What now?'
types 'What now?' ''
types 'Go on' 'by hand'
types 'find: by hand|' '\r'
pages 'machine.yaml:'
types 'What now?' ''
types 'once more' '\r'
pages 'What now?'
types 'What now?' ''
types 'Go on' '\r'
types 'type its name' ''
types '[none] > ' 'nowhere\r'
types '`nowhere` does not name' ''
types '[none] > ' '\r'
types 'What now?' ''
types 'Go on' '\r'
types 'type its name' ''
"#;

fn run(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let path = |name: &str| folder.path().join(name);
    for name in ["first", "second"] {
        workbench::disk(&path(name), 2 << 30)?;
        Cmd::new("mkfs.ext4").args(["-q", "-F", "-L", name]).arg(path(name)).ok()?;
    }
    let before = |name: &str| Cmd::new("sha256sum").arg(path(name)).ok();
    let hashes = (before("first")?, before("second")?);
    // A system that a medium would offer: nothing of it has to be fetched.
    let system = path("system");
    let file = hello.small(&system)?;
    fs::rename(&file, system.join("machine.yaml"))?;
    if system.join("hello.lock").exists() {
        fs::rename(system.join("hello.lock"), system.join("machine.lock"))?;
    }
    // An editor that breaks the file, and mends it the next time.
    let editor =
        "#!/bin/sh\nif grep -q broken \"$1\"; then sed -i '/broken/d' \"$1\"; else echo 'broken: 1' >>\"$1\"; fi\n";
    fs::write(path("editor"), editor)?;
    fs::set_permissions(path("editor"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let script = format!(
        "mkdir -p /dev/pts; mount -t devpts devpts /dev/pts
         mkdir -p /var/lib/cairn {kept}; mount --bind {kept} /var/lib/cairn
         mkdir -p $XDG_CACHE_HOME/cairn/systems; cp -r {system} $XDG_CACHE_HOME/cairn/systems/hello
         mount -t tmpfs tmp /sys/firmware; mkdir /sys/firmware/efi
         export EDITOR={editor}
         cd {folder}
         {PERSON}
         # By keys, to the last page and back out, on a screen as large as most and on a narrow one.
         begin 24 80
         {QUESTIONS}
         {LAST}
         stop '[none] > '
         cp screen screen-80
         begin 30 40 'NO_COLOR=1'
         {NARROW}
         {LAST}
         stop '[none] > '
         cp screen screen-40
         # Ctrl-C twice ends it too: at a list, at a line, at a password.
         begin 24 80
         types 'find:' '\\003'; types 'Stop?' ''; types '  Stop' '\\003'; ends 3
         # A signal from elsewhere, and a terminal that is closed.
         begin 24 80
         types 'find:' ''; pkill -TERM -x cairn; ends 143
         # Lines where somebody asks for them, or where the cursor does not move.
         begin 24 80 '' --plain
         types '1 of 10' ''; types '] > ' '\\003'; types 'Stop? Nothing was written to any disk. (yes or no) [no] > ' 'perhaps\\n'
         types 'Stop?' '\\n'; types '] > ' 'en_GB\\n'; types '2 of 10' ''; types '] > ' '\\003'; types 'Stop?' 'yes\\n'; ends 3
         begin 24 80 '' --plain
         types '] > ' '\\003'; types 'Stop?' '\\003'; ends 3
         TERM_THERE=dumb begin 24 80
         types '] > ' '\\004'; ends 3
         ",
        kept = path("kept").display(),
        system = system.display(),
        editor = path("editor").display(),
        folder = folder.path().display(),
    );
    let said = workbench::script_with("1G", cairn, &[&path("first"), &path("second")], &script)?;
    ensure!((before("first")?, before("second")?) == hashes, "a disk has changed:\n{said}");
    for (name, columns) in [("screen-80", 80), ("screen-40", 40)] {
        let screen = fs::read(path(name)).with_context(|| format!("no {name}"))?;
        let screen = String::from_utf8_lossy(&screen).into_owned();
        for words in ["now:", "then:", "= stays  # new  - lost  . free", "root##"] {
            ensure!(screen.contains(words), "{name} does not show {words}:\n{screen}");
        }
        ensure!(!screen.contains("secret"), "{name} shows the password");
        // Whatever is longer would wrap, and what is drawn over it afterwards leave its rest.
        // How it ends is said where nothing is drawn any more.
        let said = screen.lines().filter(|line| !line.starts_with("Script ") && !line.contains("cairn: stopped"));
        let long = said.map(|line| (visible(line), line)).find(|(width, _)| *width > columns);
        ensure!(long.is_none(), "{name} has a line that is too long: {long:?}");
    }
    Ok(())
}

/// How many columns a line of the recording takes, without orders to the terminal; what begins anew with a carriage return counts anew.
fn visible(line: &str) -> usize {
    let last = |part: &str| {
        let mut rest = part;
        let mut count = 0;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c == '\u{1b}' {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |end| end + 1);
                rest = &rest[end..];
            } else {
                count += 1;
            }
        }
        count
    };
    line.split('\r').map(last).max().unwrap_or(0)
}
