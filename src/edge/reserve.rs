//! Room on the disk: a reserve that is given back when nothing else is left, and an alarm before that.
//!
//! A journal that cannot write approves nothing, and cannot even stop cleanly. So the data directory holds a file that
//! is of no use but for its size. When the disk is full it is removed, and the call that found no room is tried once
//! more: what it gives is for reversals, advices and a clean stop, since requests are refused from then on. The alarm
//! comes earlier, as soon as less is free than is set.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::Gauge;
use rustix::fs::FallocateFlags;
use rustix::fs::fallocate;
use rustix::fs::statvfs;

use crate::pipeline::core::Pipeline;

const NAME: &str = "reserve";
/// How often the free room is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How much is written at once where the file system cannot set room aside.
const STEP_BYTES: usize = 1 << 20;

/// Whether it is room that a call did not find.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A file that is kept for its size.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    held: AtomicBool,
}

impl Reserve {
    /// That of a data directory; it holds nothing until [`Reserve::fill`].
    #[must_use]
    pub(super) fn of(directory: &Path) -> Self {
        Self { path: directory.join(NAME), held: AtomicBool::new(false) }
    }

    /// Whether it holds room.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Sets so many bytes aside, or none.
    ///
    /// # Errors
    /// There is not so much room, or the disk failed; then nothing is set aside.
    pub fn fill(&self, bytes: u64) -> io::Result<()> {
        if self.path.metadata().is_ok_and(|found| found.len() == bytes && bytes > 0) {
            self.held.store(true, Ordering::Release);
            return Ok(());
        }
        self.remove()?;
        if bytes > 0 {
            if let Err(error) = self.write(bytes) {
                // What was set aside of it would only be missing elsewhere.
                let _ = self.remove();
                return Err(error);
            }
            self.held.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn write(&self, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let zeros = vec![0; STEP_BYTES];
                let mut at = 0;
                while at < bytes {
                    let step = (bytes - at).min(STEP_BYTES as u64);
                    file.write_all_at(&zeros[..step as usize], at)?;
                    at += step;
                }
            }
            Err(errno) => return Err(errno.into()),
        }
        file.sync_all()
    }

    fn remove(&self) -> io::Result<()> {
        self.held.store(false, Ordering::Release);
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Does something on the disk. When it finds no room, the reserve is given back and it is done once more.
    ///
    /// # Errors
    /// Those of what is done.
    pub(super) fn relieve<T>(&self, work: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match work() {
            Err(error) if is_full(&error) && self.held.swap(false, Ordering::AcqRel) => {
                let given_back = self.remove();
                tracing::error!(
                    reserve = %self.path.display(),
                    "the disk is full: {}; make room on the disk",
                    match given_back {
                        Ok(()) => "the reserve was given back, for reversals, advices and a clean stop".to_owned(),
                        Err(error) => format!("the reserve cannot be given back: {error}"),
                    }
                );
                work()
            }
            done => done,
        }
    }
}

/// Watches how much is free where the data directory is.
pub(super) struct Watch {
    /// The data directory.
    pub(super) directory: PathBuf,
    /// The room that is kept back.
    pub(super) reserve: Arc<Reserve>,
    /// How much, when it is whole.
    pub(super) reserve_bytes: u64,
    /// With less than this free, requests are refused.
    pub(super) free_min_bytes: u64,
    /// What is free, in bytes.
    pub(super) free: Gauge,
}

impl Watch {
    /// Looks now, and says whether requests are to be refused; what is free in bytes comes with it.
    fn look(&self) -> io::Result<(bool, u64)> {
        let found = statvfs(&self.directory)?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        self.free.set(free as f64);
        // Made again only when the alarm is over with it, or the two would take turns.
        let wanted = self.reserve_bytes > 0 && !self.reserve.is_held();
        let enough = free >= self.free_min_bytes.saturating_add(self.reserve_bytes);
        if wanted && enough && self.reserve.fill(self.reserve_bytes).is_ok() {
            tracing::info!(bytes = self.reserve_bytes, "the reserve is whole again");
        }
        let lacks_reserve = self.reserve_bytes > 0 && !self.reserve.is_held();
        Ok((free < self.free_min_bytes || lacks_reserve, free))
    }

    /// Looks once, and tells the pipeline. False when the file system does not say what is free.
    pub(super) fn tell(&self, pipeline: &Pipeline) -> bool {
        let (short, free) = match self.look() {
            Ok(seen) => seen,
            Err(error) => {
                let directory = self.directory.display();
                tracing::warn!(%directory, "the room on the disk is not watched any more: {error}");
                return false;
            }
        };
        let was_short = pipeline.is_short_of_room();
        pipeline.set_short_of_room(short);
        if short && !was_short {
            tracing::error!(
                directory = %self.directory.display(),
                free,
                free_min = self.free_min_bytes,
                reserve_held = self.reserve.is_held(),
                "the disk is nearly full: requests are declined, reversals and advices are taken; make room"
            );
        } else if was_short && !short {
            tracing::info!(free, "there is room on the disk again");
        }
        true
    }

    /// Looks again and again for as long as the pipeline lives. Each look is made on a thread of its own, since a
    /// stalled disk may not answer.
    pub(super) async fn run(self, pipeline: Weak<Pipeline>) {
        let watch = Arc::new(self);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let (look, seen) = (Arc::clone(&watch), pipeline.clone());
            let looked =
                tokio::task::spawn_blocking(move || seen.upgrade().is_some_and(|seen| look.tell(&seen)));
            if !matches!(looked.await, Ok(true)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_finds_no_room_is_tried_again_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let reserve = Reserve::of(directory.path());
        // Without a reserve there is nothing to try again with.
        for (held, code, calls) in [(false, 28, 1), (true, 28, 2), (true, 5, 1), (true, 122, 2)] {
            reserve.fill(if held { 8192 } else { 0 }).expect("room");
            let count = std::cell::Cell::new(0);
            let done: io::Result<()> = reserve.relieve(|| {
                count.set(count.get() + 1);
                Err(io::Error::from_raw_os_error(code))
            });
            assert_eq!(done.map_err(|error| error.raw_os_error()), Err(Some(code)));
            assert_eq!(count.get(), calls, "held {held}, code {code}");
            let released = calls == 2;
            assert_eq!(reserve.is_held(), held && !released);
            assert_eq!(directory.path().join(NAME).exists(), held && !released);
        }
    }

    #[test]
    fn a_reserve_has_the_size_that_is_set() {
        let directory = tempfile::tempdir().expect("a directory");
        for bytes in [8192, 8192, 4096, 0, 12_288] {
            let reserve = Reserve::of(directory.path());
            reserve.fill(bytes).expect("room");
            assert_eq!(reserve.is_held(), bytes > 0);
            let length = directory.path().join(NAME).metadata().map_or(0, |found| found.len());
            assert_eq!(length, bytes);
        }
    }
}
