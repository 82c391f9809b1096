//! Users, groups, SSH keys, passwords.

use cairn_machine::model::User;

use crate::verify::answer::{Answer, Parts};
use crate::verify::check::Check;
use crate::verify::expected::Expected;
use crate::verify::script::quote;

/// Where sshd looks for a user's keys: its own answer, or the two usual places.
const KEYS: &str = "\
keys() {
  home=$(getent passwd \"$1\" | cut -d: -f6)
  for f in ${files:-.ssh/authorized_keys /etc/ssh/authorized_keys.d/%u}; do
    f=$(printf '%s' \"$f\" | sed \"s|%u|$1|g; s|%h|$home|g\")
    case $f in /*) ;; *) f=$home/$f ;; esac
    [ -f \"$f\" ] && cat \"$f\"
  done
}
";

pub(super) fn ask(expected: &Expected) -> Option<String> {
    if expected.users.is_empty() && expected.groups.is_empty() {
        return None;
    }
    // Of the passwords only which users have one leaves the machine.
    let mut command = "echo '== passwd'; getent passwd\necho '== group'; getent group\n\
        echo '== passwords'; getent shadow | sed -n 's/^\\([^:]*\\):[^!*:][^:]*:.*/\\1/p'\n"
        .to_string();
    if expected.users.values().any(|u| !u.ssh_authorized_keys.is_empty()) {
        command += "files=$(sshd -T 2>/dev/null | sed -n 's/^authorizedkeysfile //p')\n";
        command += KEYS;
    }
    for (name, user) in &expected.users {
        command +=
            &format!("echo '== home {name}'; stat -c %U -- \"$(getent passwd {0} | cut -d: -f6)\"\n", quote(name));
        if !user.ssh_authorized_keys.is_empty() {
            command += &format!("echo '== keys {name}'; keys {}\n", quote(name));
        }
    }
    Some(command)
}

pub(super) fn judge(expected: &Expected, answer: &Answer) -> Vec<Check> {
    let parts = answer.parts();
    let mut checks: Vec<Check> = expected.users.iter().map(|(name, user)| judge_user(name, user, &parts)).collect();
    for (name, gid) in &expected.groups {
        let found = entry(parts.lines("group"), name).and_then(|fields| fields.get(2).copied());
        checks.push(match (gid, found) {
            (Some(gid), found) => Check::equal(
                format!("group {name}"),
                format!("gid {gid}"),
                found.map_or("missing".into(), |g| format!("gid {g}")),
            ),
            (None, found) => Check::new(
                format!("group {name}"),
                found.is_some(),
                "there",
                if found.is_some() { "there" } else { "missing" },
            ),
        });
    }
    checks
}

/// The fields of a user's or group's line.
fn entry<'a>(lines: &[&'a str], name: &str) -> Option<Vec<&'a str>> {
    lines.iter().map(|l| l.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&name))
}

fn judge_user(name: &str, user: &User, parts: &Parts<'_>) -> Check {
    let check = format!("user {name}");
    let Some(passwd) = entry(parts.lines("passwd"), name) else {
        return Check::new(check, false, "there", "missing");
    };
    let field = |n: usize| passwd.get(n).copied().unwrap_or_default();
    let groups = parts.lines("group");
    let group_name = groups.iter().find_map(|l| {
        let fields: Vec<&str> = l.split(':').collect();
        (fields.get(2) == Some(&field(3))).then(|| fields[0])
    });
    let mut wanted = Vec::new();
    let mut found = Vec::new();
    let mut compare = |what: &str, want: &str, have: &str| {
        wanted.push(format!("{what} {want}"));
        found.push(format!("{what} {}", if have.is_empty() { "none" } else { have }));
    };
    if let Some(uid) = user.uid {
        compare("uid", &uid.to_string(), field(2));
    }
    if let Some(description) = &user.description {
        compare("description", description, field(4).split(',').next().unwrap_or_default());
    }
    if name != "root" || user.group.is_some() {
        compare("group", user.group.as_deref().unwrap_or(name), group_name.unwrap_or(field(3)));
    }
    let default_home = if name == "root" { "/root".into() } else { format!("/home/{name}") };
    if user.home.is_some() || !user.system {
        compare("home", user.home.as_deref().unwrap_or(&default_home), field(5));
    }
    if user.shell.is_some() || !user.system {
        compare("shell", user.shell.as_deref().unwrap_or("/bin/bash"), field(6));
    }
    if !user.system {
        compare("home owned by", name, parts.line(&format!("home {name}")));
    }
    for group in &user.groups {
        let members = entry(groups, group).and_then(|f| f.get(3).copied()).unwrap_or_default();
        let inside = members.split(',').any(|m| m == name) || group_name == Some(group);
        compare("member of", group, if inside { group } else { "" });
    }
    if !user.ssh_authorized_keys.is_empty() {
        let lines = parts.lines(&format!("keys {name}"));
        let have = user.ssh_authorized_keys.iter().filter(|k| lines.iter().any(|l| l.trim() == k.trim())).count();
        compare("SSH keys", &user.ssh_authorized_keys.len().to_string(), &have.to_string());
    }
    if user.hashed_password_file.is_some() {
        let set = parts.lines("passwords").contains(&name);
        compare("password", "set", if set { "set" } else { "" });
    }
    Check::equal(check, wanted.join(", "), found.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "== passwd\nroot:x:0:0:root:/root:/bin/bash\ncairn:x:1000:1000:C. Airn,,,:/home/cairn:/bin/bash\n\
        == group\nroot:x:0:\nsudo:x:27:cairn\ncairn:x:1000:\n== passwords\ncairn\n\
        == home cairn\ncairn\n== keys cairn\nssh-ed25519 AAAA me\n";

    fn expected() -> Expected {
        let user = User {
            uid: Some(1000),
            groups: vec!["sudo".into()],
            ssh_authorized_keys: vec!["ssh-ed25519 AAAA me".into()],
            hashed_password_file: Some("p".into()),
            ..User::default()
        };
        Expected {
            users: [("cairn".into(), user)].into(),
            groups: [("sudo".into(), Some(27))].into(),
            ..Expected::default()
        }
    }

    fn found(out: &str) -> Vec<Check> {
        judge(&expected(), &Answer { out: out.into(), ..Answer::default() }).into_iter().filter(|c| !c.ok).collect()
    }

    #[test]
    fn a_user_as_declared_passes() {
        assert_eq!(found(OUT), []);
    }

    #[test]
    fn every_attribute_counts() {
        for (from, to, says) in [
            ("x:1000:1000:C", "x:1001:1000:C", "uid 1001"),
            ("sudo:x:27:cairn", "sudo:x:27:", "member of none"),
            ("passwords\ncairn", "passwords", "password none"),
            ("AAAA", "BBBB", "SSH keys 0"),
            ("/home/cairn:/bin/bash", "/home/cairn:/bin/sh", "shell /bin/sh"),
            ("== home cairn\ncairn", "== home cairn\nroot", "home owned by root"),
        ] {
            let wrong = found(&OUT.replace(from, to));
            assert_eq!(wrong.len(), 1, "{from}");
            assert!(wrong[0].found.contains(says), "{}", wrong[0].found);
        }
        assert_eq!(found(&OUT.replace("cairn:x", "other:x"))[0].found, "missing");
    }

    #[test]
    fn the_command_is_one_that_a_shell_understands() {
        let command = ask(&expected()).unwrap();
        cairn_process::Tool::new("sh", "dash", "check it").args(["-n", "-c"]).arg(command).run().unwrap();
    }
}
