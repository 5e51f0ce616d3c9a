//! The description of the HTTP face against the routes of the source and the running daemon.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use harness::House;
use harness::http;
use serde_json::Value as Json;

/// Every path with its methods.
type Routes = BTreeMap<String, BTreeSet<String>>;

const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

/// The Rust files below a folder.
fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(fs::read_to_string(&path).expect("text"));
        }
    }
}

/// What `.route(PATH, METHODS)` says in the source: a path is a text, or one that begins with what a loop goes over.
fn routes_of_source() -> Routes {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/edge"), &mut texts);
    let mut routes = Routes::new();
    for text in &texts {
        for call in text.split(".route(").skip(1) {
            let mut depth = 1;
            let end = call.find(|character| {
                depth += i32::from(character == '(') - i32::from(character == ')');
                depth == 0
            });
            let call = &call[..end.expect("the call ends")];
            let path = call.split('"').nth(1).expect("a path");
            let handlers: String = call.split('"').skip(2).collect();
            let named = |method: &str| {
                let begins = [format!(" {method}("), format!(".{method}(")];
                begins.iter().any(|begin| handlers.contains(begin.as_str()))
            };
            let methods: BTreeSet<String> =
                METHODS.into_iter().filter(|method| named(method)).map(str::to_owned).collect();
            let paths: Vec<String> = match path.strip_prefix("{under}") {
                Some(rest) => ["/v1/cards/{card}", "/v1/wallets/{wallet}"]
                    .map(|under| format!("{under}{rest}").replace("{{", "{").replace("}}", "}"))
                    .to_vec(),
                None => vec![path.to_owned()],
            };
            for path in paths {
                routes.entry(path).or_default().extend(methods.iter().cloned());
            }
        }
    }
    routes
}

fn described(document: &Json) -> Routes {
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .map(|(path, methods)| {
            (path.clone(), methods.as_object().expect("methods").keys().cloned().collect())
        })
        .collect()
}

#[test]
fn the_document_has_every_route_and_no_other_and_the_daemon_serves_all_of_them() {
    let (house, _directory) = House::fresh(|_| {});
    let document = house.json("/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let routes = described(&document);
    assert_eq!(routes, routes_of_source());
    assert!(routes.len() > 50, "{}", routes.len());
    for (path, methods) in &routes {
        let somewhere: String = path
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        for method in METHODS {
            // What would change something gets a body that it cannot read.
            let body = if method == "get" { "" } else { "-" };
            if path.ends_with("/reload") || path.ends_with("/snapshots") || path.ends_with("/bulk") {
                continue;
            }
            let (status, text) = http(house.daemon().admin, &method.to_uppercase(), &somewhere, body);
            assert_eq!(status == 405, !methods.contains(method), "{method} {somewhere}: {status} {text}");
            // A route that is not there has nothing to say.
            assert!(status != 404 || !text.is_empty(), "{method} {somewhere} is not there");
        }
    }
}

#[test]
fn every_reference_is_there_and_every_parameter_of_a_path_is_described() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json"));
    let document: Json = serde_json::from_str(&text.expect("a document")).expect("JSON");
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let mut used = BTreeSet::new();
    fn walk(value: &Json, used: &mut BTreeSet<String>) {
        match value {
            Json::Object(map) => {
                used.extend(map.get("$ref").and_then(Json::as_str).map(str::to_owned));
                map.values().for_each(|value| walk(value, used));
            }
            Json::Array(list) => list.iter().for_each(|value| walk(value, used)),
            _ => {}
        }
    }
    walk(&document, &mut used);
    let there: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(used, there);
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let named: BTreeSet<&str> =
            path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        for (method, operation) in methods.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let of_path = parameters.filter(|parameter| parameter["in"] == "path");
            let described: BTreeSet<&str> = of_path.filter_map(|of| of["name"].as_str()).collect();
            assert_eq!(described, named, "{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 5), "{method} {path}");
        }
    }
}
