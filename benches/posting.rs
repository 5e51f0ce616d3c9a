//! How fast a clearing file is posted: a daemon on a real disk with its defaults, a hundred thousand cards with ten
//! holds each, and a BASE II file that captures all of them. The file is sent over HTTP like any other, and the times
//! of its report are printed, with the processor time of the whole process.
//!
//! `TURNPIKE_BENCH_RECORDS` is how many records the file has.

#![expect(clippy::expect_used, reason = "what fails here ends the bench")]

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
use serde_json::Value;
use turnpike::clearing::Alphabet;
use turnpike::clearing::Format;
use turnpike::clearing::Separator;
use turnpike::clearing::write::Writer;
use turnpike::domain::card::Pan;
use turnpike::domain::clearing::Arn;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::clearing::Usage;
use turnpike::domain::day::Day;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Text;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::Finality;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::Presented;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Stan;
use turnpike::domain::request::TransactionKind;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::usage::Channel;
use turnpike::edge::clock;
use turnpike::pipeline::core::Admission;
use turnpike::pipeline::core::Outcome;
use turnpike::pipeline::core::Pipeline;

const CARDS: u64 = 100_000;

fn pan(number: u64) -> Pan {
    Pan::from_value(4_000_000_000_000_000 + number % CARDS, 16).expect("a card number")
}

fn amount(number: u64) -> Money {
    Money::new(1_000 + (number % 9_000) as i64, Currency::new(840).expect("a currency"))
}

/// The purchase with this number.
fn request(number: u64) -> AuthorizationRequest {
    let now = clock::now();
    let rrn = format!("{number:012}");
    AuthorizationRequest {
        key: MessageKey {
            network: NameId::of("visa"),
            link: NameId::of("visa"),
            stan: Stan((number % 1_000_000) as u32),
            transmission: TransmissionTime::at(now.wall),
            acquirer: InstitutionId(444_500),
            rrn: Text::from_ascii(rrn.as_bytes()),
            terminal: Text(*b"TERM0001"),
            merchant: Text(*b"MERCHANT0000001"),
            network_reference: 1_000_000 + number,
        },
        class: MessageClass::Authorization,
        repeat: false,
        pan: pan(number),
        expiry: None,
        processing_code: ProcessingCode(0),
        kind: TransactionKind::Purchase,
        amount: amount(number),
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

/// What the network clears of it.
fn presentment(number: u64) -> Presentment {
    let arn = format!("2444500{number:016}");
    Presentment {
        network: NameId::of("visa"),
        function: Function { purpose: Purpose::Purchase, reversal: false, usage: Usage::First, code: 501 },
        part: Part::Whole,
        pan: pan(number),
        arn: Arn::new(*arn.as_bytes().first_chunk().expect("23 digits")).expect("digits"),
        amount: amount(number),
        billing: None,
        settlement: None,
        authorized: None,
        approval_code: None,
        network_reference: 1_000_000 + number,
        rrn: Text::BLANK,
        stan: None,
        terminal: Text(*b"TERM0001"),
        merchant: Text(*b"MERCHANT0000001"),
        mcc: 5411,
        country: Text(*b"US "),
        acquirer: InstitutionId(444_500),
        local_date: Day::new(2026, 11, 27),
        local_time: None,
    }
}

fn hold(pipeline: &Pipeline, number: u64) {
    let request = request(number);
    loop {
        let now = clock::now();
        match pipeline.authorize(&request, Admission { new: true, wait: true }, now, now) {
            Outcome::Answer(answer, _) if answer.action.is_approval() => return,
            // The journal is as far behind the disk as it may be.
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn exchange(admin: SocketAddr, head: &str, body: &[u8]) -> Value {
    let mut socket = TcpStream::connect(admin).expect("the face listens");
    let length = body.len();
    let head =
        format!("{head} HTTP/1.1\r\nHost: turnpike\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).expect("it reads");
    socket.write_all(body).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).expect("JSON")
}

fn main() {
    let records = std::env::var("TURNPIKE_BENCH_RECORDS").ok().and_then(|text| text.parse().ok());
    let records: u64 = records.unwrap_or(1_000_000);
    let house = House::start("posting", CARDS, |_| ());
    let daemon = &house.daemon;
    (0..records).for_each(|number| hold(&daemon.face.pipeline, number));

    let format = Format::BaseTwo { alphabet: Alphabet::Ascii, separator: Separator::LineFeed };
    let mut writer = Writer::new(format, "visa", Day::new(2026, 11, 28).expect("a day"), 1);
    let mut file = Vec::new();
    writer.begin(&mut file);
    for number in 0..records {
        writer.presentment(&presentment(number), &mut file).expect("the format has it all");
    }
    writer.end_batch(&mut file);
    writer.finish(&mut file);

    let (began, before) = (Instant::now(), processor_time());
    let mut state = exchange(daemon.admin, "POST /v1/clearing", &file);
    let looked_through = began.elapsed();
    let path = format!("GET /v1/clearing/{}", state["file"].as_str().expect("a file"));
    while state["state"] == "posting" {
        std::thread::sleep(Duration::from_millis(100));
        state = exchange(daemon.admin, &path, b"");
    }
    let used = processor_time() - before;
    println!(
        "{records} records, {} MiB: looked through in {} ms, posted in {} ms, {} records/s, {} ns of processor time a \
         record in all; {}",
        file.len() >> 20,
        looked_through.as_millis(),
        state["took_ms"],
        state["records_per_s"],
        used.as_nanos() / u128::from(records),
        state["tally"]["outcomes"]
    );
    house.end();
}
