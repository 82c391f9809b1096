//! When a boot is complete, and what happens to a generation on trial that does not get there.
//!
//! `boot-complete.target` is systemd's own meeting point: what must be well requires itself into it, here and in the
//! machine's own units (`RequiredBy=boot-complete.target`). Then `cairn boot good` records the generation. If the target
//! fails or is late, or the machine ends in emergency mode, `cairn-boot-failed.service` restarts it, but only while the
//! kernel's command line says `cairn.trial` and the boot has not been good yet.

use cairn_machine::model::Boot;

use super::{enable_if_any, mask};
use crate::error::SystemError;
use crate::tree::Tree;
use crate::units::{UnitFile, Units};

const COMPLETE: &str = include_str!("completion/boot-complete.conf");
const OVER: &str = include_str!("completion/cairn-trial-over.service");
const GOOD: &str = include_str!("completion/cairn-boot-good.service");
const FAILED: &str = include_str!("completion/cairn-boot-failed.service");
const EMERGENCY: &str = include_str!("completion/emergency.conf");

/// systemd-boot's own units for the same, which know nothing of generations.
const MASKED: [&str; 1] = ["systemd-bless-boot.service"];
const MASKED_GENERATOR: &str = "systemd-bless-boot-generator";

/// Where the checks' commands are below `/usr`, one file each, so that no character of them means anything to systemd.
pub const CHECKS: &str = "lib/cairn/boot-checks";

/// What `cairn boot good` may leave in /run/cairn/notice is shown at every login (pam_motd) and above the prompt (agetty).
const NOTICE: &str = "\
d /run/motd.d 0755 root root - -
L /run/motd.d/cairn - - - - ../cairn/notice
d /run/issue.d 0755 root root - -
L /run/issue.d/cairn.issue - - - - ../cairn/notice
";

/// Puts the units.
pub fn apply(tree: &mut Tree, boot: &Boot, units: &Units) -> Result<(), SystemError> {
    for name in MASKED.iter().filter(|name| units.has(name)) {
        mask(tree, name)?;
    }
    tree.link(&format!("systemd/system-generators/{MASKED_GENERATOR}"), "/dev/null")?;
    tree.file("tmpfiles.d/cairn-notice.conf", NOTICE)?;

    put(tree, "cairn-trial-over.service", OVER)?;
    put(tree, "cairn-boot-good.service", GOOD)?;
    for (number, check) in (1..).zip(&boot.checks) {
        put(tree, &format!("cairn-boot-check-{number}.service"), &check_unit(number, &check.name))?;
    }
    let on_trial = match boot.tries {
        0 => String::new(),
        _ => format!("OnFailure=cairn-boot-failed.service\nJobTimeoutSec={}\n", boot.deadline),
    };
    tree.file("systemd/system/boot-complete.target.d/cairn.conf", format!("{COMPLETE}{on_trial}"))?;
    if boot.tries == 0 {
        return Ok(());
    }
    put(tree, "cairn-boot-failed.service", FAILED)?;
    tree.file("systemd/system/emergency.service.d/cairn.conf", EMERGENCY)?;
    let link = "systemd/system/emergency.target.wants/cairn-boot-failed.service";
    tree.link(link, "/etc/systemd/system/cairn-boot-failed.service")
}

/// The scripts of the checks, by their path below `/usr`.
pub fn scripts(boot: &Boot) -> impl Iterator<Item = (String, String)> {
    (1..).zip(&boot.checks).map(|(number, check)| (format!("{CHECKS}/{number}"), format!("{}\n", check.command)))
}

fn check_unit(number: usize, name: &str) -> String {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ").replace('%', "%%");
    format!(
        "[Unit]\nDescription=Boot Check: {name}\nDocumentation=man:cairn(1)\n\
         After=default.target graphical.target multi-user.target\nRequisite=default.target\n\
         Before=boot-complete.target\n\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh /usr/{CHECKS}/{number}\n\n\
         [Install]\nRequiredBy=boot-complete.target\n"
    )
}

/// Puts a unit and what enabling it makes.
fn put(tree: &mut Tree, name: &str, text: &str) -> Result<(), SystemError> {
    tree.file(&format!("systemd/system/{name}"), text)?;
    let file = UnitFile::File { folder: "/etc/systemd/system", text: text.to_string() };
    enable_if_any(tree, &Units::of([(name.to_string(), file)]), name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cairn_machine::model::BootCheck;

    use super::*;
    use crate::tree::Node;

    fn boot(tries: u32, checks: &[(&str, &str)]) -> Boot {
        let check = |(name, command): &(&str, &str)| BootCheck { name: (*name).into(), command: (*command).into() };
        Boot { tries, deadline: 90, checks: checks.iter().map(check).collect(), ..Boot::default() }
    }

    fn tree(boot: &Boot) -> Tree {
        let mut tree = Tree::default();
        apply(&mut tree, boot, &Units::default()).unwrap();
        tree
    }

    #[test]
    fn every_check_is_required_and_the_record_is_wanted() {
        let boot = boot(3, &[("100 %\nsure", "test \"$a\" = '%'\nexit 1")]);
        let tree = tree(&boot);
        let link = |path: &str| tree.get(&format!("systemd/system/{path}")).cloned();
        for (path, unit) in [
            ("boot-complete.target.requires/cairn-boot-check-1.service", "cairn-boot-check-1.service"),
            ("basic.target.wants/cairn-boot-good.service", "cairn-boot-good.service"),
            ("emergency.target.wants/cairn-boot-failed.service", "cairn-boot-failed.service"),
        ] {
            assert_eq!(link(path), Some(Node::Link(format!("/etc/systemd/system/{unit}"))), "{path}");
        }
        let check = tree.text("systemd/system/cairn-boot-check-1.service").unwrap();
        assert!(check.contains("\nDescription=Boot Check: 100 %% sure\n"), "{check}");
        let late = tree.text("systemd/system/boot-complete.target.d/cairn.conf").unwrap();
        assert!(late.contains("\nRequisite=default.target\n") && late.ends_with("\nJobTimeoutSec=90\n"), "{late}");
        let scripts: Vec<_> = scripts(&boot).collect();
        assert_eq!(scripts, [("lib/cairn/boot-checks/1".into(), "test \"$a\" = '%'\nexit 1\n".into())]);
    }

    #[test]
    fn without_tries_nothing_restarts_the_machine() {
        let tree = tree(&boot(0, &[]));
        assert!(tree.get("systemd/system/basic.target.wants/cairn-boot-good.service").is_some());
        let restarts = |(path, _): &(&str, &Node)| path.contains("failed") || path.contains("emergency");
        assert_eq!(tree.iter().filter(restarts).count(), 0);
        let complete = tree.text("systemd/system/boot-complete.target.d/cairn.conf").unwrap();
        assert!(complete.contains("\nRequisite=default.target\n") && !complete.contains("OnFailure"), "{complete}");
    }

    /// systemd's own check, where it is installed, finds nothing wrong with the units.
    #[test]
    fn systemd_has_nothing_to_say_about_the_units() {
        if cairn_process::find("systemd-analyze").is_none() {
            cairn_testkit::skip("systemd-analyze is not installed");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let boot = boot(3, &[("a", "true")]);
        let mut whole = Tree::default();
        for (path, node) in tree(&boot).iter() {
            whole.put(&format!("etc/{path}"), node.clone(), crate::tree::FILE).unwrap();
        }
        for program in ["lib/cairn/cairn-stage1", "bin/cairn", "bin/sh"] {
            whole.put(&format!("usr/{program}"), Node::File(b"x".to_vec()), crate::tree::EXECUTABLE).unwrap();
        }
        whole.link("bin", "usr/bin").unwrap();
        for target in [
            "boot-complete",
            "default",
            "graphical",
            "multi-user",
            "basic",
            "sysinit",
            "local-fs",
            "shutdown",
            "emergency",
        ] {
            whole
                .file(&format!("usr/lib/systemd/system/{target}.target"), format!("[Unit]\nDescription={target}\n"))
                .unwrap();
        }
        whole.write(dir.path()).unwrap();
        let root = format!("--root={}", dir.path().display());
        let units = fs::read_dir(dir.path().join("etc/systemd/system")).unwrap().flatten();
        let units = units.map(|e| e.file_name().into_string().unwrap()).filter(|name| name.ends_with(".service"));
        for name in units {
            let tool = cairn_process::Tool::new("systemd-analyze", "systemd", "check units");
            tool.args(["verify", "--man=no", "--recursive-errors=yes", &root, &name]).run().unwrap();
        }
    }
}
