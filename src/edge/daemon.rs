//! The composition root: starts the rooms in order, and stops them in order.
//!
//! 1. lock the data directory, load the keys; 2. rebuild the books from the journal; 3. begin a new epoch in a new,
//!    synced segment; 4. start the journal's writer; 5. record the configuration; 6. load the seed; 7. start the
//!    workers and open the sockets; 8. ready. A drain undoes it: not ready, sign off, answer until it is quiet, close
//!    the sockets, sync, hash.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::config::Config;
use crate::config::dial::DialSettings;
use crate::config::link::LinkSettings;
use crate::config::seed::Seed;
use crate::crypto::keys::Keys;
use crate::domain::card::Verification;
use crate::domain::event::Configured;
use crate::domain::event::Event;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::domain::interest::DayNumber;
use crate::edge::api;
use crate::edge::api::Face;
use crate::edge::clearing::Clearing;
use crate::edge::clock;
use crate::edge::dial;
use crate::edge::dialects;
use crate::edge::disk::Disk;
use crate::edge::disk::DiskError;
use crate::edge::expiry;
use crate::edge::history;
use crate::edge::history::Keeper;
use crate::edge::history::Starting;
use crate::edge::interest;
use crate::edge::keys;
use crate::edge::keys::KeyError;
use crate::edge::link;
use crate::edge::link::Caller;
use crate::edge::link::LinkRuntime;
use crate::edge::link::Phase;
use crate::edge::link::SocketLimits;
use crate::edge::listen;
use crate::edge::listen::Accepted;
use crate::edge::metered::Meter;
use crate::edge::metered::Metered;
use crate::edge::products;
use crate::edge::reserve::Watch;
use crate::edge::room;
use crate::edge::seeding;
use crate::edge::seeding::SeedError;
use crate::edge::snapshots;
use crate::edge::snapshots::Maker;
use crate::edge::snapshots::Snapshots;
use crate::edge::snapshots::Wanted;
use crate::edge::start;
use crate::edge::switch;
use crate::edge::tcp;
use crate::edge::tcp::Surroundings;
use crate::edge::telemetry::Telemetry;
use crate::edge::text;
use crate::edge::views::Views;
use crate::edge::visitors::Visitors;
use crate::edge::zones;
use crate::journal::segment;
use crate::journal::storage::StorageError;
use crate::journal::writer;
use crate::journal::writer::JournalError;
use crate::journal::writer::Writer;
use crate::ledger::shard::Capacity;
use crate::ledger::state_hash::StateHash;
use crate::ledger::totals::Totals;
use crate::pipeline::channel::ChannelSettings;
use crate::pipeline::core::Pipeline;
use crate::pipeline::past::Past;
use crate::recovery::RebuildError;
use crate::recovery::Trunks;
use crate::settings::Finding;

/// Why the daemon did not start. Nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The journal cannot be listed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The books cannot be rebuilt.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// The new epoch cannot begin.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The seed file.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The dialect of a link.
    #[error("{}", text::told(.0))]
    Dialect(Vec<Finding>),
    /// A socket cannot be opened.
    #[error("{what} cannot listen on {address}: {cause}")]
    Listen {
        /// The link, or the admin face.
        what: String,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// A running daemon.
pub struct Daemon {
    /// What the HTTP face shows.
    pub face: Arc<Face>,
    /// Where the HTTP face listens.
    pub admin: SocketAddr,
    /// The name, dialect and address of each link that listens.
    pub links: Vec<(String, String, SocketAddr)>,
    runtimes: Vec<(Arc<LinkRuntime>, Caller)>,
    /// A worker ends, with its sockets, when the last of these is gone.
    senders: Vec<mpsc::Sender<Accepted>>,
    workers: Vec<JoinHandle<()>>,
    writer: JoinHandle<Result<(), JournalError>>,
    drain_limit: Duration,
    /// Which worker the next link begins with.
    turn: usize,
    /// The directory stays locked as long as this is here.
    disk: Disk,
    keys: Arc<Keys>,
}

/// What a drained daemon leaves behind.
#[derive(Debug)]
pub struct Drained {
    /// The hash of everything.
    pub hash: StateHash,
    /// The last record.
    pub last: Sequence,
    /// The sums of each currency.
    pub totals: Vec<Totals>,
}

/// How a start may differ from the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StartOptions {
    /// A port that is taken is replaced by a free one.
    pub free_ports: bool,
}

/// The room that a configuration asks for.
#[must_use]
pub fn capacity(config: &Config) -> Capacity {
    Capacity {
        wallets: config.ledger.wallets_max as usize,
        // Memory is touched only as it is used, so there is room for a second account of every wallet.
        further_accounts: config.ledger.wallets_max as usize,
        cards: config.ledger.cards_max as usize,
        authorizations: config.ledger.authorizations_max as usize,
        limits: config.ledger.limits_max as usize,
        counted: config.ledger.counted_max as usize,
    }
}

impl Daemon {
    /// Starts everything.
    ///
    /// # Errors
    /// The first thing that is in the way; nothing is served then.
    pub async fn start(
        config: &Config,
        seed: Option<(&str, &Seed)>,
        options: StartOptions,
    ) -> Result<Self, StartError> {
        // 1. The data directory and the keys.
        let disk = Disk::open(&config.daemon.data_dir)?;
        let journal_exists = !segment::list(&disk)?.is_empty();
        let keys = Arc::new(keys::load(&config.daemon.key_path(), journal_exists)?);
        // 2. The books.
        let mut past = history::Settings::of(config).map(|_| Starting::open(&disk));
        let rebuilt = start::rebuild(config, &disk, &keys, past.as_mut())?;
        // 3. The new epoch. Segments that nobody needs any more become spares first.
        let known_to = past.as_ref().map(|past| past.known_to().unwrap_or_default());
        room::make(&disk, &keys, config, known_to)?;
        let settings = writer::Settings {
            segment_bytes: u64::from(config.journal.segment_mib) << 20,
            // A wiped directory that keeps its key must not seal under an epoch that was used before.
            epoch_min: u32::try_from(clock::wall().seconds()).unwrap_or(u32::MAX),
        };
        let telemetry = Arc::new(Telemetry::new(rebuilt.facts));
        let storage = Metered::new(disk.clone(), Arc::clone(&telemetry.meter));
        let writer = Writer::begin(storage, &rebuilt.recovered, keys.vault.fingerprint(), settings)?;
        // 4. The writer.
        let authorizer = start::authorizer(config, &keys);
        let seeded = rebuilt.seeded;
        let mut books = rebuilt.books;
        let past = past.map(|past| past.end(rebuilt.told_after, rebuilt.recovered.last));
        if past.as_ref().is_some_and(|past| past.is_some()) {
            let room = history::Settings::noted_per_shard(books.layout.shards());
            books.note_departures(room, room);
        }
        let policy = start::policy(config);
        let pipeline = Pipeline::new(books, writer.start(), authorizer, Arc::clone(&keys), policy);
        // No time is before that of the last record.
        let now_s = clock::wall().max(rebuilt.recovered.time).seconds();
        let keys_kept = rebuilt
            .keys_kept
            .next(config.wallets.bounds.key_window_s, u32::try_from(now_s).unwrap_or(u32::MAX));
        let pipeline = Arc::new(pipeline.with_verbs(config.wallets.bounds, keys_kept));
        let (published, durable) = watch::channel(pipeline.durable().0);
        let (senders, workers) = listen::spawn_workers(config.daemon.worker_threads, config.daemon.busy_poll)
            .map_err(StartError::Thread)?;
        let meter = Arc::clone(&telemetry.meter);
        let writer = spawn_writer(Arc::clone(&pipeline), writer, published, meter)?;
        let surroundings = Surroundings { pipeline: Arc::clone(&pipeline), durable };
        let mut daemon = Self {
            face: Arc::new(Face::new(pipeline, telemetry, rebuilt.hash)),
            admin: config.admin.listen,
            links: Vec::new(),
            runtimes: Vec::new(),
            senders,
            workers,
            writer,
            drain_limit: Duration::from_millis(config.daemon.drain_limit_ms),
            turn: 0,
            disk,
            keys,
        };
        daemon.keep_history(config, past)?;
        match daemon.open(config, seed, seeded, rebuilt.trunks, &surroundings, options).await {
            Ok(()) => Ok(daemon),
            Err(error) => {
                // What is in the way comes first; the directory is free again when it is seen.
                let _ = daemon.stop().await;
                Err(error)
            }
        }
    }

    /// Starts what keeps the history, if there is to be one.
    fn keep_history(&self, config: &Config, past: Option<Option<Arc<Past<Disk>>>>) -> Result<(), StartError> {
        if let (Some(past), Some(settings)) = (past, history::Settings::of(config)) {
            let pipeline = Arc::clone(&self.face.pipeline);
            let keeper = Keeper::start(past, pipeline, settings, &config.daemon.data_dir);
            let _ = self.face.history.set(keeper.map_err(StartError::Thread)?);
        }
        Ok(())
    }

    async fn open(
        &mut self,
        config: &Config,
        seed: Option<(&str, &Seed)>,
        seeded: Option<Seeded>,
        trunks: Trunks,
        surroundings: &Surroundings,
        options: StartOptions,
    ) -> Result<(), StartError> {
        let watch = self.watch(config);
        if watch.tell(&surroundings.pipeline) {
            tokio::spawn(watch.run(Arc::downgrade(&surroundings.pipeline)));
        }
        // 5. The configuration.
        let keys = surroundings.pipeline.verbs().keys_kept();
        let configured = Configured { version: config.checksum(), bounds: config.ledger.bounds, keys };
        let _written = surroundings.pipeline.commit_to_all(&Event::Configured(configured), clock::now());
        // 6. The seed.
        let seeded = match seed {
            Some((name, seed)) => {
                seeding::load(&surroundings.pipeline, name, seed, seeded, config.verification).await?;
                Some(Seeded { checksum: seed.checksum, lines: seed.lines, complete: true })
            }
            None if seeded.is_some_and(|seeded| !seeded.complete) => return Err(SeedError::Incomplete.into()),
            None => seeded,
        };
        // 7. Time zones, of which more may be known than at the last start, and products, which may have other cards.
        zones::renew(&surroundings.pipeline).await;
        products::settle(&surroundings.pipeline, &config.products).await;
        let _ = self.face.products.set(config.products.clone());
        // What became due while nothing ran is paid before anything else changes.
        let today = DayNumber::of(clock::wall());
        let all = interest::pay(&surroundings.pipeline, clock::now).await;
        let paid = if all { today } else { today.before() };
        let _ = self.face.issuing.set(start::issuing(config));
        // 8. The sockets.
        let admin = bind("the admin face", config.admin.listen, options).await?;
        self.admin = admin.local_addr().unwrap_or(config.admin.listen);
        for link in &config.links {
            self.make_link(config, link)?;
        }
        let links: Vec<_> = self.runtimes.iter().map(|(link, _)| Arc::clone(link)).collect();
        self.join_switch(config, &links, trunks, &surroundings.pipeline);
        for (link, runtime) in config.links.iter().zip(&links) {
            self.open_link(link, runtime, surroundings, options).await?;
        }
        let _ = self.face.links.set(links);
        let _ = self.face.views.set(Views::new(config, &self.keys, surroundings.durable.clone()));
        let routes = api::routes(Arc::clone(&self.face));
        let visitors = Visitors::new(admin, config.admin.sockets_max as usize, config.admin.idle);
        tokio::spawn(async move { axum::serve(visitors, routes).await });
        // 9. Snapshots, clearing, expiry, and ready.
        let (pipeline, disk, keys) =
            (Arc::clone(&surroundings.pipeline), self.disk.clone(), Arc::clone(&self.keys));
        let past = Wanted::by(self.face.history.get().map(Keeper::past));
        let settings = snapshots::Settings::of(config);
        let maker = Maker::new(pipeline, disk, keys, settings, configured, seeded, past);
        let _ = self.face.snapshots.set(Snapshots::start(maker).map_err(StartError::Thread)?);
        let (pipeline, keys) = (Arc::clone(&surroundings.pipeline), Arc::clone(&self.keys));
        let _ = self.face.clearing.set(Arc::new(Clearing::new(pipeline, keys, config)));
        let every = Duration::from_secs(config.lifecycle.expire_every_s.into());
        tokio::spawn(expiry::run(Arc::downgrade(&surroundings.pipeline), every));
        tokio::spawn(interest::run(Arc::downgrade(&surroundings.pipeline), paid));
        self.face.serving.store(true, Ordering::Release);
        self.announce(config);
        Ok(())
    }

    /// A link without a socket.
    fn make_link(&mut self, config: &Config, link: &LinkSettings) -> Result<(), StartError> {
        let dialect = dialects::of_link(config, link).map_err(StartError::Dialect)?;
        let session = link::session_settings(link, &dialect);
        let channel = ChannelSettings {
            dialect,
            context: ChannelSettings::context_of(&link.name, &link.network),
            answer_deadline_ms: link.answer_deadline_ms,
            parked_max: link.parked_max as usize,
        };
        let limits = SocketLimits::of(link, config.daemon.drain_quiet_ms);
        let metrics = self.face.telemetry.link(&link.name);
        let (runtime, caller) = LinkRuntime::new(
            &link.name,
            &link.dialect,
            link.dial.is_some(),
            channel,
            limits,
            session,
            metrics,
        );
        self.runtimes.push((runtime, caller));
        Ok(())
    }

    /// Gives the pipeline its switch, and has what was open when the daemon ended reversed.
    fn join_switch(
        &self,
        config: &Config,
        links: &[Arc<LinkRuntime>],
        trunks: Trunks,
        pipeline: &Arc<Pipeline>,
    ) {
        let Some(board) = switch::board(config, links, trunks) else { return };
        let board = Arc::new(board);
        pipeline.switch_with(Arc::clone(&board));
        pipeline.reverse_open(&board, clock::now());
        tokio::spawn(switch::run(Arc::downgrade(pipeline), board));
    }

    /// Opens a link's sockets, or has them connected.
    async fn open_link(
        &mut self,
        link: &LinkSettings,
        runtime: &Arc<LinkRuntime>,
        surroundings: &Surroundings,
        options: StartOptions,
    ) -> Result<(), StartError> {
        self.turn += 1;
        let mut senders = self.senders.clone();
        // Links with a socket each do not all begin with the same worker.
        let first = self.turn % senders.len();
        senders.rotate_left(first);
        if let Some(dial) = &link.dial {
            Self::dial(runtime, dial, surroundings, &senders);
            return Ok(());
        }
        let Some(listen) = link.listen else { return Ok(()) };
        let listener = bind(&format!("link {}", link.name), listen, options).await?;
        if let Err(error) = tcp::bound_unread(&listener, &link.tcp) {
            tracing::warn!(link = link.name, %error, "the system does not bound what is not read yet");
        }
        let address = listener.local_addr().unwrap_or(listen);
        self.links.push((link.name.clone(), link.dialect.clone(), address));
        if let Some(calls) = runtime.calls() {
            let accepting = Arc::clone(runtime);
            tokio::spawn(listen::accept(listener, accepting, calls, surroundings.clone(), senders));
        }
        Ok(())
    }

    /// Has a link's sockets connected, and connected again, by a task for each.
    fn dial(
        runtime: &Arc<LinkRuntime>,
        settings: &DialSettings,
        surroundings: &Surroundings,
        senders: &[mpsc::Sender<Accepted>],
    ) {
        let places = settings.addresses.iter().flat_map(|to| (0..settings.sockets).map(|_| *to));
        for (address, worker) in places.zip(senders.iter().cycle()) {
            let Some(calls) = runtime.calls() else { return };
            let (runtime, surroundings) = (Arc::clone(runtime), surroundings.clone());
            let settings = settings.clone();
            let worker = worker.clone();
            tokio::spawn(dial::keep_connected(runtime, address, settings, calls, surroundings, worker));
        }
    }

    fn watch(&self, config: &Config) -> Watch {
        let bytes = |mib: u32| u64::from(mib) << 20;
        Watch {
            directory: config.daemon.data_dir.clone(),
            reserve: Arc::clone(self.disk.reserve()),
            reserve_bytes: bytes(config.journal.reserve_mib),
            free_min_bytes: bytes(config.journal.disk_free_min_mib),
            free: self.face.telemetry.disk_free.clone(),
        }
    }

    fn announce(&self, config: &Config) {
        for (name, dialect, address) in &self.links {
            tracing::info!(link = name, dialect, %address, "listening");
        }
        if config.verification == Verification::None {
            tracing::warn!(
                "PIN, CVV and cryptograms are not verified: cards are seeded with verification = none"
            );
        }
        let durable = match config.journal.reply {
            crate::config::money::Reply::Fsync => "every answer waits for the disk".to_owned(),
            crate::config::money::Reply::Async => format!(
                "answers do not wait for the disk; a crash may lose up to {} ms or {} records of them",
                config.journal.max_unsynced_ms, config.journal.max_unsynced_records
            ),
        };
        tracing::info!(admin = %self.admin, durability = durable, "ready");
    }

    /// Stops: not ready, sign-off sent, everything answered that arrives until it is quiet, sockets closed, journal
    /// synced (R26).
    ///
    /// # Errors
    /// The journal failed, now or earlier.
    pub async fn drain(self) -> Result<Drained, JournalError> {
        self.face.serving.store(false, Ordering::Release);
        tracing::info!("draining");
        let limit = Instant::now() + self.drain_limit;
        // Those who ask first, then those who are asked: what is still forwarded gets its answer.
        for dialled in [false, true] {
            self.sign_off(dialled);
            while self.connections_of(dialled) > 0 && Instant::now() < limit {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.enter(Phase::Closing);
        let limit = Instant::now() + Duration::from_secs(2);
        while self.connections() > 0 && Instant::now() < limit {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let face = Arc::clone(&self.face);
        self.stop().await?;
        let pipeline = &face.pipeline;
        let (hash, last) = pipeline.state_hash();
        *face.last_hash.lock() = (hash, last);
        let totals = pipeline.audit().totals;
        tracing::info!(records = last.0, %hash, "stopped; everything answered is on disk");
        Ok(Drained { hash, last, totals })
    }

    /// Ends the threads: the workers, with whatever sockets are left, then the journal's once all is on disk.
    async fn stop(self) -> Result<(), JournalError> {
        self.enter(Phase::Closing);
        let face = Arc::clone(&self.face);
        let others = move || {
            if let Some(clearing) = face.clearing.get() {
                clearing.stop();
            }
            face.snapshots.get().map(Snapshots::stop)
        };
        let (past, told) = (Arc::clone(&self.face), Arc::clone(&self.face));
        let history = move || past.history.get().map(Keeper::stop);
        drop(self.senders);
        let pipeline = Arc::clone(&self.face.pipeline);
        let (workers, writer) = (self.workers, self.writer);
        let joined = tokio::task::spawn_blocking(move || {
            others();
            for worker in workers {
                let _ = worker.join();
            }
            history();
            pipeline.take_no_more();
            pipeline.close();
            writer.join()
        });
        let joined = joined.await;
        if let Some(views) = told.views.get() {
            views.told().await;
        }
        match joined {
            Ok(Ok(result)) => result,
            // A thread that panicked has said so itself.
            _ => Ok(()),
        }
    }

    fn enter(&self, phase: Phase) {
        self.runtimes.iter().for_each(|(_, caller)| caller.enter(phase));
    }

    /// Begins the drain of the links that listen, or of those that connect.
    fn sign_off(&self, dialled: bool) {
        for (link, caller) in self.runtimes.iter().filter(|(link, _)| link.dialled == dialled) {
            link.station.with(|session| session.drain(clock::moment(Instant::now())));
            caller.enter(Phase::Draining);
        }
    }

    fn connections_of(&self, dialled: bool) -> usize {
        let links = self.runtimes.iter().filter(|(link, _)| link.dialled == dialled);
        links.map(|(link, _)| link.connections()).sum()
    }

    fn connections(&self) -> usize {
        self.runtimes.iter().map(|(link, _)| link.connections()).sum()
    }
}

async fn bind(what: &str, address: SocketAddr, options: StartOptions) -> Result<TcpListener, StartError> {
    let failed = |cause| StartError::Listen { what: what.to_owned(), address, cause };
    match TcpListener::bind(address).await {
        Err(cause) if options.free_ports && cause.kind() == std::io::ErrorKind::AddrInUse => {
            let mut free = address;
            free.set_port(0);
            TcpListener::bind(free).await.map_err(failed)
        }
        bound => bound.map_err(failed),
    }
}

fn spawn_writer(
    pipeline: Arc<Pipeline>,
    mut writer: Writer<Metered<Disk>>,
    published: watch::Sender<u64>,
    meter: Arc<Meter>,
) -> Result<JoinHandle<Result<(), JournalError>>, StartError> {
    let write = move || {
        let result = pipeline.run_writer(&mut writer, &|durable| {
            let before = published.send_replace(durable.0);
            if durable.0 > before {
                meter.records.record(durable.0 - before);
            }
        });
        if let Err(error) = &result {
            let (durable, appended) = (pipeline.durable().0, pipeline.appended().0);
            tracing::error!(durable, appended, "{error}; requests are declined from now on");
        }
        result
    };
    std::thread::Builder::new().name("journal".to_owned()).spawn(write).map_err(StartError::Thread)
}
