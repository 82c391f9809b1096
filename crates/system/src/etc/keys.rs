//! Units that draw, at the first boot, what packages would have drawn while they were installed.

use std::fmt::Write as _;
use std::path::Path;

use super::enable_if_any;
use crate::drawn::{self, Drawn, Made};
use crate::error::SystemError;
use crate::tree::{Tree, read_in};
use crate::units::{UnitFile, Units};

/// The base's file with the names of what was left out, one on each line.
pub(crate) const LIST: &str = "drawn";

/// Puts a unit for each thing that was left out of the base and that the machine must make. (A base of an earlier version
/// has no list.)
///
/// # Errors
/// See [`Tree::file`].
pub fn apply(tree: &mut Tree, base: &Path) -> Result<(), SystemError> {
    let list = read_in(base, LIST).ok().flatten().unwrap_or_default();
    let list = String::from_utf8_lossy(&list);
    for drawn in list.lines().filter_map(|name| drawn::ALL.iter().find(|d| d.name == name)) {
        let Some(made) = &drawn.made else { continue };
        let name = format!("cairn-draw-{}.service", drawn.name);
        let text = unit(drawn, made);
        tree.file(&format!("systemd/system/{name}"), text.clone())?;
        let file = UnitFile::File { folder: "/etc/systemd/system", text };
        enable_if_any(tree, &Units::of([(name.clone(), file)]), &name)?;
    }
    Ok(())
}

fn unit(drawn: &Drawn, made: &Made) -> String {
    let before = [made.before, "sysinit.target shutdown.target"].join(" ");
    let mut text = format!(
        "[Unit]\nDescription=Draw This Machine's {}\nDocumentation=man:cairn(1)\nDefaultDependencies=no\n\
         Conflicts=shutdown.target\nAfter=local-fs.target systemd-tmpfiles-setup.service\nBefore={}\n",
        drawn.what,
        before.trim()
    );
    for file in made.files {
        // One that is missing, or that the power cut off, is reason enough.
        let _ = writeln!(text, "ConditionFileNotEmpty=|!{file}");
    }
    // A oneshot has no end of its own: one that hangs would keep the machine from coming up.
    let umask = if made.public { "0022" } else { "0077" };
    let _ = write!(text, "\n[Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=90\nUMask={umask}\n");
    if let Some(user) = made.user {
        let _ = writeln!(text, "User={user}");
    }
    for command in made.commands {
        let _ = writeln!(text, "ExecStart={command}");
    }
    text.push_str("\n[Install]\nWantedBy=sysinit.target\n");
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_the_base_lacks_is_made_before_any_service() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join(LIST), "etckeeper\niscsi\nnvme\nsnakeoil\nunknown\n").unwrap();
        let mut tree = Tree::default();
        apply(&mut tree, base.path()).unwrap();
        let paths: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(
            paths,
            [
                "systemd/system/cairn-draw-iscsi.service",
                "systemd/system/cairn-draw-nvme.service",
                "systemd/system/cairn-draw-snakeoil.service",
                "systemd/system/sysinit.target.wants/cairn-draw-iscsi.service",
                "systemd/system/sysinit.target.wants/cairn-draw-nvme.service",
                "systemd/system/sysinit.target.wants/cairn-draw-snakeoil.service",
            ]
        );
        let text = tree.text(paths[1]).unwrap();
        assert!(text.contains("TimeoutStartSec=90\nUMask=0022\n"), "{text}");
        let text = tree.text(paths[2]).unwrap();
        assert!(text.contains("TimeoutStartSec=90\nUMask=0077\n"), "{text}");
        assert!(text.contains("ConditionFileNotEmpty=|!/etc/ssl/private/ssl-cert-snakeoil.key\n"), "{text}");
        assert!(text.contains("Before=sysinit.target shutdown.target\n"), "{text}");
        let text = tree.text(paths[0]).unwrap();
        assert!(text.contains("Before=iscsid.service open-iscsi.service sysinit.target shutdown.target\n"), "{text}");
    }

    #[test]
    fn systemd_finds_nothing_wrong_with_the_units() {
        use cairn_process::{Tool, ToolError};
        let folder = tempfile::tempdir().unwrap();
        let mut files = Vec::new();
        for drawn in &drawn::ALL {
            let Some(made) = &drawn.made else { continue };
            // What they start is not on this computer.
            let text: Vec<String> = unit(drawn, made)
                .lines()
                .map(|l| if l.starts_with("ExecStart=/usr") { "ExecStart=/bin/true".into() } else { l.to_string() })
                .filter(|l| !l.starts_with("User=") && !l.starts_with("Documentation="))
                .collect();
            let file = folder.path().join(format!("cairn-draw-{}.service", drawn.name));
            fs::write(&file, text.join("\n") + "\n").unwrap();
            files.push(file);
        }
        match Tool::new("systemd-analyze", "systemd", "test").args(["verify", "--man=no"]).args(&files).run() {
            Err(missing @ ToolError::Missing { .. }) => {
                cairn_testkit::skip(missing);
            }
            other => other.unwrap(),
        }
    }
}
