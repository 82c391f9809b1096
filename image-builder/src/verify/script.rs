//! What goes into the machine: two units as systemd credentials (system.extra-unit, SMBIOS type 11), the names of network
//! cards in the same way (network.link), and over the port of our own the shell script that asks.
//!
//! The script is not a credential itself: SMBIOS tables end at 64 KiB.

use super::cards::Card;
use super::topics::{Boot, Question};

/// The port's name inside.
pub(super) const PORT: &str = "cairn.verify";

/// The first word from inside: it may be talked to now. What comes before it is the firmware's.
pub(super) const READY: &str = "cairn-verify-is-ready";

/// A command's standard output and error, and how it ended, as one line of JSON.
const PRELUDE: &str = "\
export LC_ALL=C.UTF-8 SYSTEMD_PAGER= SYSTEMD_COLORS=0
cd /run
ask() {
  timeout \"$2\" sh -c \"$3\" </dev/null >/run/cairn-verify.out 2>/run/cairn-verify.err 3>&-
  e=$?; r=
  [ -s /run/cairn-verify.err ] && r=$(tail -c 4096 /run/cairn-verify.err | base64 -w0)
  printf '{\"id\":\"%s\",\"exit\":%d,\"out\":\"%s\",\"err\":\"%s\"}\\n' \"$1\" \"$e\" \"$(base64 -w0 /run/cairn-verify.out)\" \"$r\" >&3
}
";

/// The script of one boot. The last word comes before the machine switches itself off.
pub(super) fn script(questions: &[Question], boot: Boot) -> String {
    let mut script = PRELUDE.to_string();
    for question in questions {
        script += &format!("ask {} {} {}\n", question.id, question.seconds, quote(&question.command));
    }
    if boot == Boot::First {
        // Screen and serial console are looked at from outside; the answer says that this is done.
        script += "printf '{\"say\":\"look\"}\\n' >&3; read -r _ <&3\n";
    }
    script += "rm -f /run/cairn-verify.*\nprintf '{\"say\":\"done\"}\\n' >&3\nsystemctl poweroff --no-block\n";
    script
}

/// The strings for SMBIOS type 11, one for each file that is handed to QEMU.
pub(super) fn credentials(script: &str, cards: &[Card]) -> Vec<String> {
    // Type=exec: a oneshot would be waited for by the very state that the script waits for. What is sent before the port is open
    // in here may be read by the firmware: that of QEMU 10's time takes each port for a console of its own.
    let unit = format!(
        "[Unit]\nDescription=Questions of cairn verify\n\n[Service]\nType=exec\nStandardInput=null\n\
         ExecStart=/bin/sh -c 'until [ -e /dev/virtio-ports/{PORT} ]; do sleep 1; done; \
         exec 3<>/dev/virtio-ports/{PORT}; echo >&3; echo {READY} >&3; \
         head -c {} <&3 >/run/cairn-verify.sh; exec sh /run/cairn-verify.sh'\n",
        script.len()
    );
    let dropin = "[Unit]\nWants=cairn-verify.service\n";
    let credential =
        |name: &str, text: &str| format!("io.systemd.credential.binary:{name}={}", encode(text.as_bytes()));
    let mut all = vec![
        credential("systemd.extra-unit.cairn-verify.service", &unit),
        credential("systemd.unit-dropin.multi-user.target", dropin),
    ];
    for card in cards {
        let Some(name) = &card.name else { continue };
        // Before the machine's own files, of which the first that matches counts.
        let link = format!("[Match]\nMACAddress={}\n\n[Link]\nName={name}\n", card.mac);
        all.push(credential(&format!("network.link.00-cairn-verify-{name}"), &link));
    }
    all
}

/// A word that a shell takes back as it is.
pub(super) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// RFC 4648, with padding.
fn encode(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let sign = SIGNS[(number >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { char::from(sign) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let encoded: Vec<String> = ["", "f", "fo", "foo", "foob"].map(|t| encode(t.as_bytes())).into();
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    #[test]
    fn the_script_is_one_that_a_shell_understands() {
        let question = Question { id: "t0".into(), seconds: 5, command: "echo it's \"so\"; exit 3".into() };
        let script = script(&[question], Boot::First);
        let tool = cairn_process::Tool::new("sh", "dash", "check the script").args(["-n", "-c"]).arg(&script);
        tool.run().unwrap();
        assert!(script.contains(r#"ask t0 5 'echo it'\''s "so"; exit 3'"#), "{script}");
    }

    #[test]
    fn a_shell_answers_as_the_port_expects() {
        let question = Question { id: "t0".into(), seconds: 5, command: "echo \"it's\"; echo no >&2; exit 3".into() };
        let script = script(&[question], Boot::Second).replace("systemctl poweroff --no-block", "");
        let dir = tempfile::tempdir().unwrap();
        let script = script.replace("/run", &dir.path().display().to_string());
        let out = cairn_process::Tool::new("sh", "dash", "run the script")
            .args(["-c", "exec 3>&1; eval \"$0\""])
            .arg(script)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"id\":\"t0\",\"exit\":3,\"out\":\"aXQncwo=\",\"err\":\"bm8K\"}\n{\"say\":\"done\"}\n"
        );
    }
}
