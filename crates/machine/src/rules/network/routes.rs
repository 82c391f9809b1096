//! Routes of an interface.

use std::net::IpAddr;

use super::super::{Findings, short};
use super::Networks;
use crate::model::{Interface, Route, RouteType};
use crate::pointer::child;

/// `own` has the interface's own addresses, and is `None` where it is not known which it has: DHCP gives them.
pub(super) fn check(at: &str, interface: &Interface, own: Option<&Networks>, f: &mut Findings) {
    for (i, route) in interface.routes.iter().enumerate() {
        one(&child(child(at, "routes"), i), route, own, f);
    }
}

fn one(at: &str, route: &Route, own: Option<&Networks>, f: &mut Findings) {
    let to = match route.to.as_str() {
        "default" => None,
        text => match super::network_of(text) {
            Ok((ip, _)) => Some(ip),
            Err((message, help)) => return f.wrong(child(at, "to"), message, help),
        },
    };
    let mut address = |key: &str, text: &Option<String>| -> Option<IpAddr> {
        let text = text.as_ref()?;
        let ip = text.parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified() && !ip.is_multicast());
        if ip.is_none() {
            let help = "write an address without prefix length, such as 192.0.2.1";
            f.wrong(child(at, key), format!("`{}` is not an address", short(text)), help);
        }
        ip
    };
    let (via, from) = (address("via", &route.via), address("from", &route.from));
    for (key, ip) in [("via", via), ("from", from)] {
        if let (Some(ip), Some(to)) = (ip, to)
            && ip.is_ipv4() != to.is_ipv4()
        {
            f.wrong(child(at, key), format!("{ip} and {} are of different families", short(&route.to)), "");
            return;
        }
    }
    if route.kind != RouteType::Unicast {
        if route.via.is_some() || route.on_link {
            let message = format!("a route of the type {} leads to no router", route.kind.name());
            f.wrong(at, message, "remove `via` and `on_link`");
        }
        return;
    }
    match via {
        None if route.via.is_none() && route.on_link => {
            f.wrong(child(at, "on_link"), "there is no router that it could be said of", "add `via`, or remove it");
        }
        None if route.via.is_none() && to.is_none() => {
            f.wrong(at, "a default route without a router", "add `via`, or write `to: 0.0.0.0/0` or `to: \"::/0\"`");
        }
        Some(via) => {
            let link_local = matches!(via, IpAddr::V6(ip) if ip.is_unicast_link_local());
            if !route.on_link && !link_local && own.is_some_and(|own| !own.have(via)) {
                let help = "give the interface an address in the router's network, or write `on_link: true`";
                f.wrong(child(at, "via"), format!("the router {via} is in no network of this interface"), help);
            }
        }
        None => {}
    }
}
