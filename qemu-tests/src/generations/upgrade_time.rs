//! How long `cairn upgrade` takes on an emulated machine whose host name was changed: seconds, one line for each time.
//! See scripts/bench/upgrade.

use anyhow::{Context, Result};
use qemu_tests::Cairn;
use qemu_tests::generations::{self, File, SYSTEMD_BOOT};

fn main() -> Result<()> {
    let runs: u32 = std::env::var("RUNS").ok().map_or(Ok(5), |runs| runs.parse()).context("RUNS is no number")?;
    let cairn = Cairn::find()?;
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(&cairn, SYSTEMD_BOOT, &File::named("first"), folder.path())?;
    let mut guest = generations::start(SYSTEMD_BOOT, &disk)?;
    // What a machine still does after its first start is not what is measured.
    let idle = "systemctl is-active cairn-boot-good.service && test -z \"$(systemctl list-jobs --no-legend)\"";
    guest.until(idle, "the boot is not complete", std::time::Duration::from_secs(300))?;
    for run in 1..=runs {
        let edit = format!("sed -i 's/^hostname: .*/hostname: run-{run}/' /etc/cairn/machine.yaml");
        let took = "cairn upgrade >/dev/null 2>/tmp/said || { cat /tmp/said; false; }";
        let said = guest.run(&format!("{edit} && s=$(date +%s%N) && {took} && echo $(($(date +%s%N) - s))"))?;
        let nanoseconds: f64 = said.trim().parse().with_context(|| format!("the machine says {said}"))?;
        println!("{:.2}", nanoseconds / 1e9);
    }
    guest.power_off()
}
