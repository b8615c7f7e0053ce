//! The code that wit-bindgen generates from the contract. It includes the WASI interfaces by which the plugin opens handles
//! that std would close.

wit_bindgen::generate!({
    path: "../../wit/0.1.0",
    inline: "
        package thinkube:hostile;
        world hostile {
            include thinkube:plugin/plugin@0.1.0;
            export thinkube:plugin/checks@0.1.0;
            import wasi:clocks/monotonic-clock@0.2.6;
        }
        package wasi:io@0.2.6 {
            interface poll {
                resource pollable {
                    ready: func() -> bool;
                    block: func();
                }
                poll: func(in: list<borrow<pollable>>) -> list<u32>;
            }
        }
        package wasi:clocks@0.2.6 {
            interface monotonic-clock {
                use wasi:io/poll@0.2.6.{pollable};
                type instant = u64;
                type duration = u64;
                now: func() -> instant;
                resolution: func() -> duration;
                subscribe-instant: func(when: instant) -> pollable;
                subscribe-duration: func(when: duration) -> pollable;
            }
        }
    ",
    world: "thinkube:hostile/hostile",
    generate_all,
});

/// With an inline world the macro does not report the files that it reads, so cargo would not rebuild after a change of the
/// contract.
const _: [&str; 3] = [
    include_str!("../../../wit/0.1.0/plan.wit"),
    include_str!("../../../wit/0.1.0/plugin.wit"),
    include_str!("../../../wit/0.1.0/types.wit"),
];
