//! Keeps the C library's allocator from holding memory that nothing uses.
//!
//! glibc gives threads arenas of their own, up to eight per core, and each keeps what it was once asked
//! for. A source has some eight threads, and new ones at every restart, which find themselves in any
//! of the arenas; so under restarts all arenas grow to the size that one source needs.

/// Arenas of the whole process: enough that the engine does not wait for a decoder.
pub const ARENAS: i32 = 2;

/// Bounds the number of arenas. To be called before any thread is started; `MALLOC_ARENA_MAX` in the
/// environment overrides it. Does nothing with other C libraries.
pub fn bound_arenas() {
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        set_arenas(ARENAS);
    }
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's allocator has no other interface than C")]
fn set_arenas(arenas: i32) {
    // SAFETY: no pointers are involved, and mallopt may be called at any time.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, arenas);
    }
}

#[cfg(not(target_env = "gnu"))]
fn set_arenas(_: i32) {}
