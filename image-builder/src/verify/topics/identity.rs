//! The machine is the one that was meant: name, kernel, generation.

use crate::verify::answer::Answer;
use crate::verify::check::Check;
use crate::verify::expected::Expected;

pub(super) fn ask(_: &Expected) -> Option<String> {
    Some(
        "echo '== hostname'; cat /proc/sys/kernel/hostname\n\
         echo '== machine'; uname -m\n\
         echo '== release'; uname -r\n\
         echo '== cmdline'; cat /proc/cmdline\n\
         echo '== profile'; readlink /nix/var/nix/profiles/system\n\
         echo '== generation'; readlink -f /nix/var/nix/profiles/system\n\
         echo '== secure boot'; od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/SecureBoot-*"
            .into(),
    )
}

pub(super) fn judge(expected: &Expected, answer: &Answer) -> Vec<Check> {
    let parts = answer.parts();
    let mut checks = Vec::new();
    if let Some(name) = &expected.hostname {
        checks.push(Check::equal("host name", name, parts.line("hostname")));
    }
    if let Some(architecture) = expected.architecture {
        checks.push(Check::equal("architecture", architecture, parts.line("machine")));
    }
    if let Some(kernel) = &expected.kernel {
        checks.push(Check::equal("kernel", kernel, parts.line("release")));
    }
    let words: Vec<&str> = parts.line("cmdline").split_ascii_whitespace().collect();
    if !expected.kernel_parameters.is_empty() {
        let missing: Vec<String> =
            expected.kernel_parameters.iter().filter(|p| !words.contains(&p.as_str())).cloned().collect();
        let found = if missing.is_empty() { "all of them".into() } else { format!("without {}", missing.join(" ")) };
        checks.push(Check::new("kernel parameters", missing.is_empty(), expected.kernel_parameters.join(" "), found));
    }
    if expected.secure_boot {
        // Four bytes of attributes come before it.
        let found = if parts.line("secure boot").trim() == "1" { "on" } else { "off" };
        checks.push(Check::equal("Secure Boot", "on", found));
    }
    // The system that runs is the one that `init=` names: PATH/init.
    let booted = words.iter().find_map(|w| w.strip_prefix("init=")?.strip_suffix("/init")).unwrap_or_default();
    if let Some(system) = &expected.system {
        checks.push(Check::equal("system", system, booted));
    }
    if booted.starts_with("/nix/store/") || expected.system.is_some() {
        let (profile, generation) = (parts.line("profile"), parts.line("generation"));
        let number = profile.strip_prefix("system-").and_then(|p| p.strip_suffix("-link"));
        let numbered = number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        checks.push(Check::new(
            "generation",
            numbered && generation == booted,
            format!("system-N-link, which leads to {booted}"),
            format!("{profile}, which leads to {generation}"),
        ));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "== hostname\nhello\n== machine\nx86_64\n== release\n6.12.1\n== cmdline\n\
        quiet console=ttyS0 init=/nix/store/a-system/init\n== profile\nsystem-1-link\n== generation\n/nix/store/a-system\n";

    fn failing(out: &str) -> Vec<String> {
        let expected = Expected {
            hostname: Some("hello".into()),
            architecture: Some("x86_64"),
            kernel: Some("6.12.1".into()),
            kernel_parameters: vec!["console=ttyS0".into()],
            system: Some("/nix/store/a-system".into()),
            ..Expected::default()
        };
        let answer = Answer { out: out.into(), ..Answer::default() };
        judge(&expected, &answer).into_iter().filter(|c| !c.ok).map(|c| c.name).collect()
    }

    #[test]
    fn each_fact_has_its_own_check() {
        assert!(failing(OUT).is_empty());
        assert_eq!(failing(&OUT.replace("hello", "goodbye")), ["host name"]);
        assert_eq!(failing(&OUT.replace("6.12.1", "6.12.2")), ["kernel"]);
        assert_eq!(failing(&OUT.replace("console=ttyS0 ", "")), ["kernel parameters"]);
        assert_eq!(failing(&OUT.replace("generation\n/nix/store/a", "generation\n/nix/store/b")), ["generation"]);
        assert_eq!(failing(&OUT.replace("init=/nix/store/a", "init=/nix/store/b")), ["system", "generation"]);
    }

    #[test]
    fn a_firmware_that_does_not_enforce_secure_boot_is_told() {
        let expected = Expected { secure_boot: true, ..Expected::default() };
        let ok = |out: &str| judge(&expected, &Answer { out: out.into(), ..Answer::default() })[0].ok;
        assert!(ok("== secure boot\n   1\n"));
        assert!(!ok("== secure boot\n   0\n") && !ok("== secure boot\n"));
    }

    #[test]
    fn a_missing_parameter_is_named() {
        let expected = Expected { kernel_parameters: vec!["panic=5".into()], ..Expected::default() };
        let checks = judge(&expected, &Answer { out: "== cmdline\nquiet\n".into(), ..Answer::default() });
        assert_eq!(checks[0].found, "without panic=5");
    }
}
