//! Commands that run at certain times: a timer and a service for each.

use std::fmt::Write as _;
use std::path::Path;

use cairn_machine::model::{Services, Timer};
use cairn_machine::pointer::child;
use cairn_process::ToolError;

use super::accounts::Ids;
use super::enable_if_any;
use crate::error::SystemError;
use crate::programs::program;
use crate::tree::Tree;
use crate::units::{UnitFile, Units};

/// Where the commands are below `/usr`, one file each, so that no character of them means anything to systemd.
const SCRIPTS: &str = "lib/cairn/timers";

/// Puts the units.
///
/// # Errors
/// When the packages have a unit of that name, there is no such user, or systemd does not understand the time.
pub fn apply(tree: &mut Tree, services: &Services, units: &Units, ids: &Ids, base: &Path) -> Result<(), SystemError> {
    for (name, timer) in &services.timers {
        let pointer = child("/services/timers", name);
        let own = [format!("{name}.timer"), format!("{name}.service")];
        if let Some(unit) = own.iter().find(|unit| units.has(unit)) {
            let message = format!("the packages have a unit {unit}, which this would replace");
            return Err(SystemError::refused_with(pointer, message, Some("choose another name".into())));
        }
        if let Some(user) = timer.user.as_ref().filter(|user| !ids.users.contains_key(*user)) {
            return Err(SystemError::refused(child(pointer, "user"), format!("there is no user {user}")));
        }
        understood(base, timer, &child(&pointer, "on_calendar"))?;
        let [at, service] = own;
        tree.file(&format!("systemd/system/{service}"), service_text(name, timer))?;
        let text = timer_text(name, timer);
        tree.file(&format!("systemd/system/{at}"), text.as_str())?;
        let file = UnitFile::File { folder: "/etc/systemd/system", text };
        enable_if_any(tree, &Units::of([(at.clone(), file)]), &at)?;
    }
    Ok(())
}

/// The commands, by their path below `/usr`.
pub fn scripts(services: &Services) -> impl Iterator<Item = (String, String)> {
    services.timers.iter().map(|(name, timer)| (format!("{SCRIPTS}/{name}"), format!("{}\n", timer.command)))
}

/// systemd says itself whether it understands a time: a timer with another one would fail at every boot.
fn understood(base: &Path, timer: &Timer, pointer: &str) -> Result<(), SystemError> {
    // A base without it (a test's) is not asked.
    let Ok(analyze) = program(base, "usr/bin/systemd-analyze", "systemd", "understand a time") else { return Ok(()) };
    match analyze.args(["calendar", "--iterations=0", "--", timer.on_calendar.trim()]).output() {
        Ok(_) => Ok(()),
        Err(ToolError::Failed { status, .. }) if status.code() == Some(1) => {
            let help = "`man systemd.time` has the form: daily, `Mon 04:00`, `*-*-01 03:30`".to_string();
            let message = format!("systemd does not understand the time {}", timer.on_calendar.trim());
            Err(SystemError::refused_with(pointer, message, Some(help)))
        }
        Err(other) => Err(other.into()),
    }
}

fn timer_text(name: &str, timer: &Timer) -> String {
    let mut text = format!("[Unit]\nDescription=Time for {name}\n\n[Timer]\nOnCalendar={}\n", timer.on_calendar.trim());
    let _ = writeln!(text, "Persistent={}", if timer.persistent { "yes" } else { "no" });
    if let Some(seconds) = timer.randomized_delay {
        let _ = writeln!(text, "RandomizedDelaySec={seconds}");
    }
    text + "\n[Install]\nWantedBy=timers.target\n"
}

fn service_text(name: &str, timer: &Timer) -> String {
    let mut text = format!("[Unit]\nDescription={name}\n\n[Service]\nType=oneshot\n");
    if let Some(user) = &timer.user {
        let _ = writeln!(text, "User={user}");
    }
    let _ = writeln!(text, "ExecStart=/bin/sh /usr/{SCRIPTS}/{name}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(timers: &str, there: &[&str]) -> Result<Tree, SystemError> {
        let services: Services = serde_json::from_str(&format!(r#"{{"timers":{timers}}}"#)).unwrap();
        let file = |name: &&str| (name.to_string(), UnitFile::Alias(None));
        let units = Units::of(there.iter().map(file).collect::<std::collections::BTreeMap<_, _>>());
        let ids = Ids { users: [("www-data".into(), 33)].into(), ..Ids::default() };
        let mut tree = Tree::default();
        apply(&mut tree, &services, &units, &ids, Path::new("/nonexistent")).map(|()| tree)
    }

    #[test]
    fn one_line_makes_a_timer_and_a_service() {
        let line = r#"{"backup":{"on_calendar":"daily","command":"tar 100% \"$HOME\"","user":"www-data","randomized_delay":60}}"#;
        let tree = applied(line, &[]).unwrap();
        assert_eq!(
            tree.text("systemd/system/backup.timer").unwrap(),
            "[Unit]\nDescription=Time for backup\n\n[Timer]\nOnCalendar=daily\nPersistent=yes\nRandomizedDelaySec=60\n\n\
             [Install]\nWantedBy=timers.target\n"
        );
        let service = tree.text("systemd/system/backup.service").unwrap();
        assert!(
            service.ends_with("Type=oneshot\nUser=www-data\nExecStart=/bin/sh /usr/lib/cairn/timers/backup\n"),
            "{service}"
        );
        assert!(tree.get("systemd/system/timers.target.wants/backup.timer").is_some());
        let services: Services = serde_json::from_str(&format!(r#"{{"timers":{line}}}"#)).unwrap();
        assert_eq!(scripts(&services).next().unwrap().1, "tar 100% \"$HOME\"\n");
    }

    #[test]
    fn what_cannot_be_is_refused_at_its_place() {
        let timer = r#"{"apt-daily":{"on_calendar":"daily","command":"true"}}"#;
        assert_eq!(applied(timer, &["apt-daily.timer"]).unwrap_err().pointer(), Some("/services/timers/apt-daily"));
        let timer = r#"{"a":{"on_calendar":"daily","command":"true","user":"nobody-there"}}"#;
        assert_eq!(applied(timer, &[]).unwrap_err().pointer(), Some("/services/timers/a/user"));
    }
}
