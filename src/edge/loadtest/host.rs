//! What the machine says about itself, the generator and the daemon: `/proc`, read whole.

use std::fs::read_to_string;
use std::time::Duration;

/// A tick of `/proc/*/stat`, which Linux fixes at a hundredth of a second for programs.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of the generator's thread so far. Zeros where the system does not tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Processor {
    /// All of it.
    pub all: Duration,
    /// In its own code, in hundredths of a second.
    pub user: Duration,
    /// In the kernel, mostly for its sockets, in hundredths of a second.
    pub system: Duration,
}

impl Processor {
    /// Of the calling thread.
    pub(super) fn now() -> Self {
        let all = first_number(&read_to_string("/proc/thread-self/schedstat").unwrap_or_default());
        let ticks = ticks(&read_to_string("/proc/thread-self/stat").unwrap_or_default());
        let (user, system) = ticks.unwrap_or_default();
        Self { all: Duration::from_nanos(all.unwrap_or(0)), user, system }
    }

    /// What was used since.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            all: self.all.saturating_sub(before.all),
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }
}

/// Time of all cores together, in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cores {
    /// All that passed.
    pub all: u64,
    /// That the host took for others, though there was work.
    pub stolen: u64,
}

impl Cores {
    pub(super) fn now() -> Self {
        Self::read(&read_to_string("/proc/stat").unwrap_or_default())
    }

    fn read(text: &str) -> Self {
        let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).unwrap_or_default();
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
        let numbers: Vec<u64> =
            line.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
        Self { all: numbers.iter().sum(), stolen: numbers.get(7).copied().unwrap_or(0) }
    }

    /// What passed since.
    pub(super) const fn since(self, before: Self) -> Self {
        Self { all: self.all.saturating_sub(before.all), stolen: self.stolen.saturating_sub(before.stolen) }
    }
}

/// Processor time of the daemon's threads so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Threads(Vec<(u32, String, Duration)>);

/// What the daemon's threads used meanwhile.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Daemon {
    /// All of them.
    pub all: Duration,
    /// The busiest.
    pub busiest: Duration,
    /// Its name.
    pub name: String,
}

impl Threads {
    /// The threads of a process; `None` when it is not there.
    pub(super) fn of(process: u32) -> Option<Self> {
        let directory = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
        let mut threads = Vec::new();
        for entry in directory.flatten() {
            let path = entry.path();
            let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let used = first_number(&read_to_string(path.join("schedstat")).unwrap_or_default());
            let name = read_to_string(path.join("comm")).unwrap_or_default();
            if let (Some(number), Some(used)) = (number, used) {
                threads.push((number, name.trim().to_owned(), Duration::from_nanos(used)));
            }
        }
        Some(Self(threads))
    }

    pub(super) fn since(&self, before: &Self) -> Daemon {
        let mut daemon = Daemon::default();
        for (number, name, used) in &self.0 {
            let earlier = before.0.iter().find(|(other, _, _)| other == number);
            let used = used.saturating_sub(earlier.map_or(Duration::ZERO, |(_, _, used)| *used));
            daemon.all += used;
            if used > daemon.busiest {
                (daemon.busiest, daemon.name) = (used, name.clone());
            }
        }
        daemon
    }
}

/// The machine that the generator runs on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Host {
    /// Cores that the generator may use, and that there are.
    pub cores: (usize, usize),
    /// The processor's name.
    pub processor: String,
    /// The kernel's version.
    pub kernel: String,
}

impl Host {
    pub(super) fn look() -> Self {
        let processors = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let lines = || processors.lines().filter_map(|line| line.split_once(':'));
        let model =
            lines().find(|(key, _)| key.trim() == "model name").map(|(_, name)| name.trim().to_owned());
        let all = lines().filter(|(key, _)| key.trim() == "processor").count();
        let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: (std::thread::available_parallelism().map_or(0, usize::from), all),
            processor: model.unwrap_or_default(),
            kernel: kernel.trim().to_owned(),
        }
    }
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// User and system time of a line of `/proc/*/stat`, whose second field is a name in brackets that may hold anything.
fn ticks(text: &str) -> Option<(Duration, Duration)> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace().skip(11).map(str::parse::<u32>);
    Some((TICK * words.next()?.ok()?, TICK * words.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        let stat = "cpu  100 1 50 800 5 0 2 42 7 0\ncpu0 1 2 3\n";
        assert_eq!(Cores::read(stat), Cores { all: 1_000, stolen: 42 });
        assert_eq!(Cores::read("nonsense"), Cores::default());
        let line = "77 (a (b) c) R 1 2 3 4 5 6 7 8 9 10 123 45 0 0";
        assert_eq!(ticks(line), Some((Duration::from_millis(1_230), Duration::from_millis(450))));
        assert_eq!(ticks("77"), None);
    }

    #[test]
    fn threads_are_told_apart_and_new_ones_count_whole() {
        let ms = Duration::from_millis;
        let before = Threads(vec![(1, "main".to_owned(), ms(500)), (2, "journal".to_owned(), ms(10))]);
        let after = Threads(vec![
            (1, "main".to_owned(), ms(600)),
            (2, "journal".to_owned(), ms(210)),
            (3, "late".to_owned(), ms(5)),
        ]);
        let daemon = Daemon { all: ms(305), busiest: ms(200), name: "journal".to_owned() };
        assert_eq!(after.since(&before), daemon);
        assert!(Threads::of(std::process::id()).is_some_and(|threads| !threads.0.is_empty()));
        assert_eq!(Threads::of(u32::MAX), None);
    }
}
