//! How fast verbs move money: a daemon on a real disk with its defaults, transfers between wallets picked uniformly.
//!
//! - in process, one thread that decides and appends, the writer of the journal beside it; until all are on disk
//! - beside card authorizations, on one thread, 64 of each in turn: what an authorization with its reversal costs
//!   alone, and what it costs with the transfers in between
//! - over HTTP, batches of 1,000 on kept connections, with client and daemon on the machine's cores together
//!
//! `TURNPIKE_BENCH_WALLETS` is the number of wallets, `TURNPIKE_BENCH_SECONDS` how long each run is. Three runs of
//! each; the medians are printed with the lowest and the highest.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here ends the bench")]
#![expect(clippy::float_arithmetic, reason = "rates and ratios are no amounts")]

mod house;
mod processor;

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use house::House;
use processor::processor_time;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use turnpike::authorizer::moving::Order;
use turnpike::authorizer::moving::Party;
use turnpike::domain::card::Pan;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::moved::CallerKey;
use turnpike::domain::moved::Reason;
use turnpike::domain::moved::Verb;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Text;
use turnpike::domain::party::WalletId;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::Finality;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::OriginalData;
use turnpike::domain::request::Presented;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::ReversalRequest;
use turnpike::domain::request::Stan;
use turnpike::domain::request::TransactionKind;
use turnpike::domain::time::Timestamp;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::usage::Channel;
use turnpike::edge::clock;
use turnpike::pipeline::core::Admission;
use turnpike::pipeline::core::Outcome;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::moving::NotMoved;

const RUNS: usize = 3;
const CONNECTIONS: u64 = 4;
const BATCH: u64 = 1_000;
/// So many of a kind in turn, as sockets and batches deliver them.
const TURN: u64 = 64;
/// And of the other kind, where there are few of it.
const FEW: u64 = 8;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Spreads numbers over wallets, cards and keys.
const fn mixed(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

fn dollars() -> Currency {
    Currency::new(840).expect("a currency")
}

/// What the benches work on, and the number of the next thing that is done to it.
struct Bench<'p> {
    pipeline: &'p Pipeline,
    wallets: u64,
    next: u64,
    wait: Duration,
}

impl Bench<'_> {
    /// Moves a cent between two wallets, and waits where the journal is as far behind as it may be.
    fn transfer(&mut self) {
        self.next += 1;
        let draw = mixed(self.next);
        let from = draw % self.wallets;
        let to = (from + 1 + draw / self.wallets % (self.wallets - 1)) % self.wallets;
        let party = |wallet: u64| Some(Party { wallet: WalletId(wallet + 1), account: None });
        let print = u128::from(mixed(!self.next)) << 64 | u128::from(draw);
        let order = Order {
            verb: Verb::Transfer,
            key: CallerKey { print, body: self.next, until_s: 0 },
            from: party(from),
            to: party(to),
            currency: dollars(),
            amount: 1,
            fee: 0,
            into: None,
            about: Sequence(0),
            returns_fee: false,
            refundable_until_s: 0,
            reason: Reason::BLANK,
        };
        loop {
            let now = clock::now();
            match self.pipeline.move_money(&order, now.wall.seconds(), now) {
                Ok(_) => return,
                Err(NotMoved::Unavailable) => self.pause(),
                Err(why) => panic!("{why}"),
            }
        }
    }

    fn pause(&mut self) {
        let began = Instant::now();
        std::thread::sleep(Duration::from_micros(50));
        self.wait += began.elapsed();
    }

    /// A purchase, and the reversal of it.
    fn authorize(&mut self) {
        self.next += 1;
        let request = request(self.next, mixed(self.next) % self.wallets);
        loop {
            let now = clock::now();
            match self.pipeline.authorize(&request, Admission { new: true, wait: true }, now, now) {
                Outcome::Answer(answer, _) if answer.action.is_approval() => break,
                _ => self.pause(),
            }
        }
        let reversal = reversal(&request);
        loop {
            let now = clock::now();
            match self.pipeline.reverse(&reversal, now, now) {
                Outcome::Answer(..) => return,
                _ => self.pause(),
            }
        }
    }

    /// Takes turns for a while, and until all is on disk. Returns how much of a turn's [`TURN`] each second, and the
    /// processor time of this thread for each, waiting left out.
    fn run(&mut self, length: Duration, what: impl Fn(&mut Self)) -> (f64, f64) {
        let (began, thread) = (Instant::now(), clock_gettime(ClockId::ThreadCPUTime));
        let mut count = 0_u64;
        while began.elapsed() < length {
            what(self);
            count += TURN;
        }
        let used = clock_gettime(ClockId::ThreadCPUTime);
        let used = (used.tv_sec - thread.tv_sec) as f64 * 1e9 + (used.tv_nsec - thread.tv_nsec) as f64;
        let last = self.pipeline.appended();
        self.pipeline.wake_writer();
        while self.pipeline.durable() < last {
            std::thread::sleep(Duration::from_micros(100));
        }
        (count as f64 / began.elapsed().as_secs_f64(), used / count as f64)
    }
}

fn request(number: u64, card: u64) -> AuthorizationRequest {
    AuthorizationRequest {
        key: MessageKey {
            network: NameId::of("visa"),
            link: NameId::of("visa"),
            stan: Stan((number % 1_000_000) as u32),
            transmission: TransmissionTime::at(clock::now().wall),
            acquirer: InstitutionId(444_500),
            rrn: Text::from_ascii(format!("{number:012}").as_bytes()),
            terminal: Text(*b"TERM0001"),
            merchant: Text(*b"MERCHANT0000001"),
            network_reference: 1_000_000 + number,
        },
        class: MessageClass::Authorization,
        repeat: false,
        pan: Pan::from_value(4_000_000_000_000_000 + card, 16).expect("a card number"),
        expiry: None,
        processing_code: ProcessingCode(0),
        kind: TransactionKind::Purchase,
        amount: Money::new(100, dollars()),
        billing: None,
        mcc: 5411,
        country: 840,
        entry_mode: 51,
        channel: Channel::Chip,
        partial_supported: false,
        merchant_initiated: false,
        increment: false,
        finality: Finality::Final,
        card_present: true,
        presented: Presented::default(),
    }
}

fn reversal(of: &AuthorizationRequest) -> ReversalRequest {
    let key = MessageKey { stan: Stan(of.key.stan.0 ^ 1), ..of.key };
    ReversalRequest {
        key,
        advice: true,
        repeat: false,
        pan: of.pan,
        processing_code: of.processing_code,
        amount: of.amount,
        billing: None,
        replacement: None,
        approval_code: None,
        original: Some(OriginalData {
            class: Some(MessageClass::Authorization),
            stan: of.key.stan,
            transmission: Some(of.key.transmission),
            acquirer: of.key.acquirer,
        }),
        legs: Legs::Both,
        reason: 0,
    }
}

/// Sends batches on one kept connection until the time is over. Returns how many transfers were done.
fn batches(admin: SocketAddr, connection: u64, run: u64, wallets: u64, until: Instant) -> u64 {
    let mut socket = TcpStream::connect(admin).expect("the face listens");
    socket.set_nodelay(true).expect("a socket");
    let created = Timestamp::from_seconds(clock::wall().seconds());
    let (mut done, mut answer) = (0, vec![0; 1 << 20]);
    for batch in 0.. {
        if Instant::now() >= until {
            break;
        }
        let one = |n: u64| {
            let draw = mixed(run << 56 | connection << 48 | (batch * BATCH + n));
            let from = draw % wallets;
            let to = (from + 1 + draw / wallets % (wallets - 1)) % wallets;
            format!(
                "{{\"key\":\"{run}-{connection}-{batch}-{n}\",\"created\":\"{created}\",\"from\":{},\"to\":{},\
                 \"currency\":\"840\",\"amount\":1}}",
                from + 1,
                to + 1
            )
        };
        let list: Vec<String> = (0..BATCH).map(one).collect();
        let body = format!("{{\"transfers\":[{}]}}", list.join(","));
        let head = format!(
            "POST /v1/transfers/batch HTTP/1.1\r\nHost: turnpike\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).expect("it reads");
        socket.write_all(body.as_bytes()).expect("it reads");
        let mut have = 0;
        let (begins, length) = loop {
            have += socket.read(&mut answer[have..]).expect("an answer");
            let text = String::from_utf8_lossy(&answer[..have]);
            if let Some(end) = text.find("\r\n\r\n") {
                let head = text[..end].to_ascii_lowercase();
                assert!(head.starts_with("http/1.1 200"), "{text}");
                let (_, length) = head.split_once("content-length: ").expect("a length");
                let length: usize = length.lines().next().expect("a line").parse().expect("a number");
                break (end + 4, length);
            }
        };
        if begins + length > answer.len() {
            answer.resize(begins + length, 0);
        }
        while have < begins + length {
            have += socket.read(&mut answer[have..]).expect("an answer");
        }
        let text = String::from_utf8_lossy(&answer[begins..have]);
        done += text.matches("\"status\":200").count() as u64;
    }
    done
}

/// The median with the lowest and the highest.
fn spread(mut of: Vec<f64>) -> String {
    of.sort_by(f64::total_cmp);
    format!("{:.0} [{:.0}..{:.0}]", of[of.len() / 2], of[0], of[of.len() - 1])
}

fn over_http(admin: SocketAddr, wallets: u64, length: Duration) {
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for run in 0..RUNS as u64 {
        let (began, before) = (Instant::now(), processor_time());
        let until = began + length;
        let done: u64 = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CONNECTIONS)
                .map(|connection| scope.spawn(move || batches(admin, connection, run, wallets, until)))
                .collect();
            clients.into_iter().map(|client| client.join().expect("a client")).sum()
        });
        rates.push(done as f64 / began.elapsed().as_secs_f64());
        costs.push((processor_time() - before).as_nanos() as f64 / done as f64);
    }
    println!(
        "over HTTP, batches of {BATCH} on {CONNECTIONS} connections: {} transfers/s, {} ns of processor time each, the \
         client's among it",
        spread(rates),
        spread(costs)
    );
}

fn main() {
    let wallets = setting("TURNPIKE_BENCH_WALLETS", 1_000_000);
    let length = Duration::from_secs(setting("TURNPIKE_BENCH_SECONDS", 4));
    let house = House::start("moving", wallets, |config| {
        config.wallets.bounds.keys_max = 100_000_000;
        // Keys leave again while others come.
        config.wallets.bounds.key_window_s = 2;
        config.ledger.authorizations_max = 4_000_000;
    });
    let daemon = &house.daemon;

    let mut bench = Bench { pipeline: &daemon.face.pipeline, wallets, next: 0, wait: Duration::ZERO };
    let mut rates: [Vec<f64>; 4] = Default::default();
    let mut costs: [Vec<f64>; 4] = Default::default();
    let both = |bench: &mut Bench<'_>, transfers| {
        (0..TURN).for_each(|_| bench.authorize());
        (0..transfers).for_each(|_| bench.transfer());
    };
    // In turn, so that what the machine does meanwhile is shared.
    for _ in 0..RUNS {
        let runs = [
            bench.run(length, |bench| (0..TURN).for_each(|_| bench.transfer())),
            bench.run(length, |bench| (0..TURN).for_each(|_| bench.authorize())),
            bench.run(length, |bench| both(bench, TURN)),
            bench.run(length, |bench| both(bench, FEW)),
        ];
        for ((rate, cost), (rates, costs)) in runs.into_iter().zip(rates.iter_mut().zip(&mut costs)) {
            rates.push(rate);
            costs.push(cost);
        }
    }
    for (beside, transfers) in [(2, TURN), (3, FEW)] {
        let part = transfers as f64 / TURN as f64;
        let kept = costs[beside].iter().zip(&costs[0]).zip(&costs[1]);
        let kept = kept.map(|((both, transfer), alone)| 1_000.0 * alone / (both - part * transfer));
        println!(
            "per mille of its rate that an authorization keeps at equal processor time, {transfers} transfers beside \
             {TURN}: {}",
            spread(kept.collect())
        );
    }
    let few = format!("authorizations with {FEW} transfers beside {TURN}");
    let many = format!("authorizations with {TURN} transfers beside {TURN}");
    let names = ["transfers", "authorizations with their reversals", &many, &few];
    for (name, (rates, costs)) in names.iter().zip(rates.into_iter().zip(costs)) {
        println!("{name}: {} /s, {} ns of the deciding thread each", spread(rates), spread(costs));
    }
    println!("waited for the journal for {} ms in all", bench.wait.as_millis());
    over_http(daemon.admin, wallets, length);
    assert!(
        daemon.face.pipeline.audit().totals.iter().all(|totals| totals.sum() == 0 && totals.transit == 0)
    );
    house.end();
}
