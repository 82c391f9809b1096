//! Units: those that run, those that do not, those that are only there.

use crate::verify::answer::Answer;
use crate::verify::check::Check;
use crate::verify::expected::Expected;
use crate::verify::script::quote;

/// What should hold for a unit.
#[derive(Clone, Copy)]
enum Want {
    Running,
    Off,
    There,
}

/// The units in the order in which they are asked.
fn units(expected: &Expected) -> Vec<(&str, Want)> {
    let mut units = Vec::new();
    units.extend(expected.enabled.iter().map(|u| (u.as_str(), Want::Running)));
    units.extend(expected.disabled.iter().map(|u| (u.as_str(), Want::Off)));
    units.extend(expected.present.iter().map(|u| (u.as_str(), Want::There)));
    units
}

pub(super) fn ask(expected: &Expected) -> Option<String> {
    let units = units(expected);
    if units.is_empty() {
        return None;
    }
    let names: Vec<String> = units.iter().map(|(u, _)| quote(u)).collect();
    Some(format!(
        "systemctl show -p LoadState -p ActiveState -p SubState -p UnitFileState -p Result -p Type -p ConditionResult \
         -- {}",
        names.join(" ")
    ))
}

pub(super) fn judge(expected: &Expected, answer: &Answer) -> Vec<Check> {
    // systemctl answers in the order of the question, a blank line between two units.
    let mut blocks = answer.out.split("\n\n");
    units(expected).into_iter().map(|(unit, want)| judge_unit(unit, want, blocks.next().unwrap_or_default())).collect()
}

fn judge_unit(unit: &str, want: Want, block: &str) -> Check {
    let get = |key: &str| block.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default();
    let (load, active, file) = (get("LoadState"), get("ActiveState"), get("UnitFileState"));
    let found = match load {
        "masked" => format!("masked, {active}"),
        "loaded" if get("Result").is_empty() || get("Result") == "success" => {
            format!("{file}, {active} ({})", get("SubState"))
        }
        "loaded" => format!("{file}, {active} ({})", get("Result")),
        "" => "no answer".into(),
        other => other.into(),
    };
    match want {
        Want::Running => {
            let starts =
                file.starts_with("enabled") || ["static", "alias", "linked", "generated", "indirect"].contains(&file);
            // A service that does one thing is gone when it has done it.
            let done = get("Type") == "oneshot" && active == "inactive" && get("Result") == "success";
            let ran = done && get("ConditionResult") == "yes";
            Check::new(
                format!("unit {unit}"),
                load == "loaded" && starts && (active == "active" || ran),
                "enabled, active",
                found,
            )
        }
        Want::Off => {
            let off = (load == "masked" || file.starts_with("disabled")) && active == "inactive";
            Check::new(format!("unit {unit}"), off, "masked, inactive", found)
        }
        Want::There => Check::new(format!("unit {unit}"), load == "loaded", "there", found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected {
            enabled: vec!["ssh.service".into(), "once.service".into()],
            disabled: vec!["apt-daily.timer".into()],
            ..Expected::default()
        }
    }

    const OUT: &str = "Type=notify\nResult=success\nLoadState=loaded\nActiveState=active\nSubState=running\n\
        UnitFileState=enabled\n\nType=oneshot\nResult=success\nLoadState=loaded\nActiveState=inactive\nSubState=dead\n\
        UnitFileState=enabled\nConditionResult=yes\n\nLoadState=masked\nActiveState=inactive\nUnitFileState=masked\n";

    fn failing(out: &str) -> Vec<(String, String)> {
        let checks = judge(&expected(), &Answer { out: out.into(), ..Answer::default() });
        checks.into_iter().filter(|c| !c.ok).map(|c| (c.name, c.found)).collect()
    }

    fn wrong(unit: &str, found: &str) -> Vec<(String, String)> {
        vec![(format!("unit {unit}"), found.into())]
    }

    #[test]
    fn running_done_and_masked_pass() {
        assert_eq!(failing(OUT), []);
    }

    #[test]
    fn a_unit_that_is_not_as_declared_is_told() {
        let disabled = OUT.replacen("enabled", "disabled", 1);
        assert_eq!(failing(&disabled), wrong("ssh.service", "disabled, active (running)"));
        let failed =
            OUT.replacen("active\nSubState=running", "failed\nSubState=failed", 1).replacen("success", "exit-code", 1);
        assert_eq!(failing(&failed), wrong("ssh.service", "enabled, failed (exit-code)"));
        let skipped = OUT.replace("ConditionResult=yes", "ConditionResult=no");
        assert_eq!(failing(&skipped), wrong("once.service", "enabled, inactive (dead)"));
        let on = OUT.replace(
            "LoadState=masked\nActiveState=inactive\nUnitFileState=masked",
            "LoadState=loaded\nActiveState=active\nSubState=waiting\nUnitFileState=enabled",
        );
        assert_eq!(failing(&on), wrong("apt-daily.timer", "enabled, active (waiting)"));
    }
}
