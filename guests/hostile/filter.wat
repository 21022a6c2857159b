;; A filter as text: it wants `pid` of processes, and keeps all rows.
;;
;; A test of what no compiled language does to its host puts a line in the place of a marker:
;; `(;module;)` in the core module, `(;call;)` in `keep`, `(;component;)` in the component. As it
;; stands it is a good guest, and was built against version 0.1.0 of the contract.
(component
  (import "weir:collector/batches@0.1.0" (instance $batches
    (export "batch" (type (sub resource)))
    (type $error (variant (case "retry" string) (case "reject" string) (case "fatal" string)))
    (export "eval-error" (type (eq $error)))
  ))
  (alias export $batches "batch" (type $batch))
  (alias export $batches "eval-error" (type $eval-error))
  (core func $drop (canon resource.drop $batch))

  (core module $code
    (import "batches" "drop" (func $drop (param i32)))
    (memory (export "memory") 2)
    ;; Texts at 0; what the functions answer at 256, 320, 384 and 448; settings from 1024 on.
    (data (i32.const 0) "wat-filter0.1.0processpid")
    ;; description: name, version.
    (data (i32.const 256) "\00\00\00\00\0a\00\00\00\0a\00\00\00\05\00\00\00")
    ;; ok, wants: one interest at 512; no patterns, counters and rules.
    (data (i32.const 320) "\00\00\00\00\00\02\00\00\01\00\00\00")
    ;; interest: kind; one column at 576.
    (data (i32.const 512) "\0f\00\00\00\07\00\00\00\40\02\00\00\01\00\00\00")
    (data (i32.const 576) "\16\00\00\00\03\00\00\00")
    ;; 384: ok. 448: ok, all.
    (;module;)
    (func (export "describe") (result i32) i32.const 256)
    (func (export "init") (param i32 i32) (result i32) i32.const 320)
    (func (export "self-test") (result i32) i32.const 384)
    (func (export "keep") (param $events i32) (result i32)
      (;call;)
      (call $drop (local.get $events))
      i32.const 448)
    ;; Only `init` is given anything: each text lands in the same place.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  )
  (core instance $imports (export "drop" (func $drop)))
  (core instance $guest (instantiate $code (with "batches" (instance $imports))))
  (alias core export $guest "memory" (core memory $memory))
  (alias core export $guest "realloc" (core func $realloc))
  (;component;)

  (type $description (record (field "name" string) (field "version" string)))
  (type $texts (list string))
  (type $interest (record (field "kind" string) (field "columns" $texts)))
  (type $rule (record (field "name" string) (field "priority" string) (field "target" string)))
  (type $interests (list $interest))
  (type $rules (list $rule))
  (type $wants (record
    (field "interests" $interests) (field "patterns" $texts) (field "counters" $texts) (field "rules" $rules)))
  (func $describe (result $description)
    (canon lift (core func $guest "describe") (memory $memory)))
  (func $init (param "config" string) (result (result $wants (error string)))
    (canon lift (core func $guest "init") (memory $memory) (realloc $realloc)))
  (func $self-test (result (result (error string)))
    (canon lift (core func $guest "self-test") (memory $memory)))

  ;; An export gives its types names of its own: that takes a component around it.
  (component $lifecycle
    (type $description' (record (field "name" string) (field "version" string)))
    (import "description" (type $description (eq $description')))
    (type $texts (list string))
    (type $interest' (record (field "kind" string) (field "columns" $texts)))
    (import "interest" (type $interest (eq $interest')))
    (type $rule' (record (field "name" string) (field "priority" string) (field "target" string)))
    (import "rule" (type $rule (eq $rule')))
    (type $interests (list $interest))
    (type $rules (list $rule))
    (type $wants' (record
      (field "interests" $interests) (field "patterns" $texts) (field "counters" $texts) (field "rules" $rules)))
    (import "wants" (type $wants (eq $wants')))
    (import "describe" (func $describe (result $description)))
    (import "init" (func $init (param "config" string) (result (result $wants (error string)))))
    (import "self-test" (func $self-test (result (result (error string)))))
    (export $own-description "description" (type $description'))
    (export $own-interest "interest" (type $interest'))
    (export $own-rule "rule" (type $rule'))
    (type $own-interests (list $own-interest))
    (type $own-rules (list $own-rule))
    (type $own-wants' (record
      (field "interests" $own-interests) (field "patterns" $texts) (field "counters" $texts)
      (field "rules" $own-rules)))
    (export $own-wants "wants" (type $own-wants'))
    (export "describe" (func $describe) (func (result $own-description)))
    (export "init" (func $init) (func (param "config" string) (result (result $own-wants (error string)))))
    (export "self-test" (func $self-test) (func (result (result (error string)))))
  )
  (instance $lifecycle (instantiate $lifecycle
    (with "description" (type $description))
    (with "interest" (type $interest))
    (with "rule" (type $rule))
    (with "wants" (type $wants))
    (with "describe" (func $describe))
    (with "init" (func $init))
    (with "self-test" (func $self-test))
  ))
  (export "weir:collector/lifecycle@0.1.0" (instance $lifecycle))

  (type $selection (variant (case "all") (case "none") (case "rows" (list u32)) (case "mask" (list u8))))
  (func $keep (param "events" (borrow $batch)) (result (result $selection (error $eval-error)))
    (canon lift (core func $guest "keep") (memory $memory)))
  (component $filter
    (import "batch" (type $batch (sub resource)))
    (type $error (variant (case "retry" string) (case "reject" string) (case "fatal" string)))
    (import "eval-error" (type $eval-error (eq $error)))
    (type $selection' (variant (case "all") (case "none") (case "rows" (list u32)) (case "mask" (list u8))))
    (import "selection" (type $selection (eq $selection')))
    (import "keep" (func $keep (param "events" (borrow $batch)) (result (result $selection (error $eval-error)))))
    (export $own-batch "batch" (type $batch))
    (export $own-error "eval-error" (type $eval-error))
    (export $own-selection "selection" (type $selection'))
    (export "keep" (func $keep)
      (func (param "events" (borrow $own-batch)) (result (result $own-selection (error $own-error)))))
  )
  (instance $filter (instantiate $filter
    (with "batch" (type $batch))
    (with "eval-error" (type $eval-error))
    (with "selection" (type $selection))
    (with "keep" (func $keep))
  ))
  (export "weir:collector/filter@0.1.0" (instance $filter))
)
