//! Measures how fast a prepared set is read: samples a second, without a network that would wait for them.
//!
//! `cargo run --release -p cmpt-train --example loader -- FOLDER [BATCH [SECONDS]]`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cmpt_train::data::batch::{BatchRequest, Split};
use cmpt_train::data::open::{Opening, open};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or_else(|| anyhow::anyhow!("FOLDER is missing"))?);
    let batch_size = arguments.next().map_or(Ok(4), |batch| batch.parse())?;
    let length = Duration::from_secs(arguments.next().map_or(Ok(30), |seconds| seconds.parse())?);
    let dataset = open(&folder, &Opening::default())?;
    let request = |epoch| BatchRequest { split: Split::Train, batch_size, seed: 1, epoch, skip: 0 };
    // The first epoch finds the files on the disk, the others in memory.
    for batch in dataset.batches(request(0))? {
        batch?;
    }
    let (start, mut samples, mut epoch) = (Instant::now(), 0, 1);
    while start.elapsed() < length {
        for batch in dataset.batches(request(epoch))? {
            samples += batch?.len();
        }
        epoch += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.1} samples a second, {samples} in {} epochs", samples as f64 / seconds, epoch - 1);
    Ok(())
}
