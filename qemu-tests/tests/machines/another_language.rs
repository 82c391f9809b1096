//! Another language and another keyboard: made without a network from the base that is there, and right on the machine.

use anyhow::{Result, ensure};
use qemu_tests::cairn::repository;
use qemu_tests::command::{root, same_bytes};
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Cmd, Scenario};

use crate::verified::result;

pub const SCENARIO: Scenario = Scenario {
    name: "another language and keyboard need no other base and no network, and the machine has them",
    needs: &[QEMU[0], QEMU[1], QEMU[2], "unshare"],
    run,
};

/// What the machine is asked, besides what `verify` asks of itself: the other's locale is not there, nothing of the keymap lies in the
/// machine's layer of `/etc`, and the key beside the tabulator is an `a` in France.
const TESTS: &str = "  - name: the locales are there, and no others
    command: test \"$(locale -a | tr '\\n' ' ')\" = 'C C.utf8 POSIX fr_FR.utf8 sr_RS.utf8@latin '
  - name: the language is spoken
    command: test \"$(LC_ALL=fr_FR.UTF-8 locale mon | cut -d';' -f1)\" = janvier
  - name: the keymap is the French one
    command: dumpkeys | grep -qE '^keycode +16 = \\+?a '
  - name: a generation's keymap does not stay for the next
    command: test ! -e /var/lib/cairn/etc/upper/console-setup
  - name: keyboard and console are set up
    command: systemctl is-active keyboard-setup.service console-setup.service
";

/// Takes a machine's systems, and what is remembered of locales, out of the cache.
fn forget(cairn: &Cairn, host: &str) -> Result<()> {
    let cache = cairn.cache().join("cairn");
    for entry in std::fs::read_dir(cache.join("nix/store"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(&format!("-cairn-system-{host}")) {
            Cmd::new("chmod").arg("-R").arg("u+w").arg(entry.path()).ok()?;
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    match std::fs::remove_dir_all(cache.join("locales")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn run(cairn: &Cairn) -> Result<()> {
    // The same packages as in the scenario beside this one, so the same base.
    let folder = cairn.work.join("language");
    std::fs::create_dir_all(&folder)?;
    let text = std::fs::read_to_string(repository().join("examples/static-network.yaml"))?;
    let (german, french) = (folder.join("german.yaml"), folder.join("french.yaml"));
    std::fs::write(&german, &text)?;
    cairn.cmd(["build", "--format", "raw"]).arg(&german).arg("-o").arg(&folder).run()?.must(0)?;

    let changed = text
        .replace("hostname: static.example.org", "hostname: language.example.org")
        .replace("lang: de_DE.UTF-8", "lang: fr_FR.UTF-8")
        .replace("{LC_MESSAGES: C.UTF-8}", "{LC_MESSAGES: C.UTF-8, LC_NAME: sr_RS.UTF-8@latin}")
        .replace("keyboard: {layout: de, variant: nodeadkeys}", "keyboard: {layout: fr}")
        + TESTS;
    std::fs::copy(folder.join("german.lock"), folder.join("french.lock"))?;
    let offline: &[&str] = if root() { &["unshare", "-n"] } else { &["unshare", "-rn"] };
    // What is wrong in them is told with its place, from this base.
    let wrong = [
        ("fr_FR.UTF-8", "xx_XX.UTF-8", ":23:9: there is no locale xx_XX.UTF-8"),
        ("layout: fr", "layout: xx", ":25:20: there is no keyboard layout xx"),
        ("layout: fr", "layout: fr, variant: xx", ":25:33: the keyboard layout fr has no variant xx"),
    ];
    for (good, bad, told) in wrong {
        std::fs::write(&french, changed.replace(good, bad))?;
        let done = cairn.cmd(["build", "--format", "raw"]).arg(&french).arg("-o").arg(&folder).under(offline).run()?;
        done.must(1)?;
        ensure!(done.stderr.contains(&format!("french.yaml{told}")), "{done}");
    }
    std::fs::write(&french, changed)?;

    let again = tempfile::tempdir()?;
    let image = "language.example.org.raw";
    for at in [folder.join("french"), again.path().to_path_buf()] {
        // What is remembered is made once more, too.
        forget(cairn, "language.example.org")?;
        let done = cairn.cmd(["build", "--format", "raw"]).arg(&french).arg("-o").arg(&at).under(offline).run()?;
        done.must(0)?;
        let said = |words: &str| done.stderr.contains(words);
        ensure!(said("compiling the locale fr_FR.UTF-8") && !said("installing packages"), "{done}");
    }
    same_bytes(&folder.join("french").join(image), &again.path().join(image))?;

    let done = cairn
        .cmd(["verify", "--json", "--against"])
        .arg(&french)
        .arg(folder.join("french").join(image))
        .deadline(std::time::Duration::from_secs(2400))
        .run()?;
    let (json, failed) = result(&done)?;
    ensure!(failed.is_empty() && json["ok"] == true, "{failed:?}\n{json:#}");
    done.must(0)?;
    Ok(())
}
