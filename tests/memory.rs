//! Threads that come and go do not each leave memory behind. A program of its own, because the bound
//! holds for a whole process, and arenas that are there stay.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![cfg(target_env = "gnu")]

use std::fs;
use std::sync::{Arc, Barrier};
use std::thread;

use cmpt::memory;

/// glibc reserves this much, aligned to as much, for every arena but the first.
const ARENA_BYTES: u64 = 64 << 20;

fn arenas() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let is_arena = |line: &&str| {
        let mut fields = line.split_whitespace();
        let start = fields.next().and_then(|range| u64::from_str_radix(range.split_once('-')?.0, 16).ok());
        let mode = fields.next();
        // Offset, device, inode, and no name.
        let anonymous = fields.count() == 3;
        start.is_some_and(|start| start % ARENA_BYTES == 0) && mode == Some("rw-p") && anonymous
    };
    maps.lines().filter(is_arena).count()
}

#[test]
fn forty_threads_that_allocate_at_once_share_the_arenas() {
    memory::bound_arenas();
    let all = Arc::new(Barrier::new(41));
    let threads: Vec<_> = (0..40)
        .map(|_| {
            let all = Arc::clone(&all);
            thread::spawn(move || {
                let held = vec![1u8; 100_000];
                all.wait();
                // Counted now, while everyone holds something.
                all.wait();
                held.len()
            })
        })
        .collect();
    all.wait();
    let counted = arenas();
    all.wait();
    threads.into_iter().for_each(|thread| assert_eq!(thread.join().unwrap(), 100_000));
    assert!(counted <= usize::try_from(memory::ARENAS).unwrap(), "{counted} arenas beside the first");
}
