"""Options that a job server takes beyond those of Beam's Python SDK, which ``beam.json`` has.

As the job server of Beam 2.77 for Flink 1.20 describes them (``DescribePipelineOptions`` of its job service).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

_FLINK = """
    allow_non_restored_state attached_mode auto_balance_write_files_sharding_enabled auto_watermark_interval
    checkpoint_timeout_millis checkpointing_interval checkpointing_mode default_environment_config
    default_environment_type disable_metrics enable_heap_dumps enable_stable_input_drain
    environment_expiration_millis execution_mode_for_batch execution_retry_delay
    externalized_checkpoints_enabled fail_on_checkpointing_errors faster_copy file_input_split_max_size_m_b
    finish_bundle_before_checkpointing flink_conf_dir force_slot_sharing_group
    force_unaligned_checkpoint_enabled job_check_interval_in_secs latency_tracking_interval
    load_balance_bundles max_bundle_size max_bundle_time_mills min_pause_between_checkpoints
    num_concurrent_checkpoints number_of_execution_retries object_reuse operator_chaining
    re_iterable_group_by_key_result report_checkpoint_duration retain_docker_containers
    retain_externalized_checkpoints_on_cancellation savepoint_path semi_persist_dir
    shutdown_sources_after_idle_ms state_backend state_backend_factory state_backend_storage_path
    unaligned_checkpoint_enabled use_data_stream_for_batch
"""


@cache
def job_server_options(engine: str) -> Mapping[str, None]:
    """Return their names; ``engine`` is a runner's short name."""
    return dict.fromkeys(_FLINK.split()) if engine == "flink" else {}
