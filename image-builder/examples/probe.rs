//! Runs the probe guest under KVM and under emulation, and says what came of it: `cargo run --example probe`.

use std::time::{Duration, Instant};

use image_builder::probe::run_guest;
use image_builder::qemu::Accel;

fn main() {
    for accel in [Accel::Tcg, Accel::Kvm] {
        let begin = Instant::now();
        let verdict = run_guest(accel, Duration::from_secs(20));
        println!("{accel:?}: {verdict:?} after {:.1} s", begin.elapsed().as_secs_f32());
    }
}
