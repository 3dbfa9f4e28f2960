import pytest

from training.config import PRESETS, LossWeights, TrainingConfig, differences


class TestPresets:
    @pytest.mark.parametrize("name", sorted(p.stem for p in PRESETS.glob("*.yaml")))
    def test_load_and_survive_the_way_through_plain_values(self, name):
        config = TrainingConfig.load(name)
        assert TrainingConfig.from_dict(config.to_dict()) == config

    def test_paper_is_equation_12_with_weights_of_one_and_a_falling_lambda(self):
        config = TrainingConfig.load("paper")
        assert (config.crop, config.batch, config.epochs) == (168, 2, 200)
        assert config.learning_rate == 1e-3
        w = config.losses
        assert (w.mgls, w.tdas, w.color, w.gradient) == (1, 1, 1, 1)
        assert w.mgls_final < w.mgls
        assert (w.intensity, w.ssim, w.pseudo) == (0, 0, 0)

    def test_published_is_the_authors_code(self):
        config = TrainingConfig.load("published")
        assert (config.learning_rate, config.final_learning_rate) == (1e-4, 1e-6)
        assert (config.warmup_epochs, config.clip_norm) == (5, 1e-4)
        assert config.losses == LossWeights(
            gradient=10,
            color=10,
            intensity=10,
            ssim=10,
            mgls=5,
            mgls_final=5,
            mgls_first_channel_only=True,
            tdas=5,
            tdas_published_form=True,
        )


class TestLoad:
    def test_takes_a_file_by_its_path(self, tmp_path):
        path = tmp_path / "mine.yaml"
        path.write_text("crop: 64\nlosses: {tdas: 2}\n")
        config = TrainingConfig.load(str(path))
        assert (config.crop, config.losses.tdas) == (64, 2)

    def test_overrides_replace_what_the_file_says(self):
        overrides = ["steps=7", "learning_rate=1e-4", "losses.tdas=5", "rescale=[0.5, 2]"]
        config = TrainingConfig.load("default", overrides)
        assert (config.steps, config.learning_rate, config.losses.tdas) == (7, 1e-4, 5)
        assert config.rescale == (0.5, 2)

    def test_says_which_presets_there_are(self):
        with pytest.raises(FileNotFoundError, match=r"default.*paper.*published.*found 'papre'"):
            TrainingConfig.load("papre")

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("stepz=3", "unknown names.*stepz.*known are"),
            ("losses.colour=3", "unknown names.*colour"),
            ("steps", "NAME=VALUE"),
            ("crop=20", "multiple of 8"),
            ("crop=big", "crop: expected int, found 'big'"),
            ("degrade=1", "degrade: expected bool"),
            ("rescale=1", "rescale"),
            ("epochs=many", "epochs: expected number"),
            ("losses.color=-1", "losses.color.*-1"),
            ("losses.color=.inf", "losses.color"),
            ("epochs=0", "epochs"),
            ("clip_norm=-1", "clip_norm"),
            ("recorded_share=1.5", "recorded_share"),
            ("cross_attention=without", "cross_attention.*mcca"),
        ],
    )
    def test_refuses_what_makes_no_sense_and_names_it(self, override, message):
        with pytest.raises(ValueError, match=message):
            TrainingConfig.load("default", [override])

    def test_reads_the_settings_of_a_run_from_before_a_setting_existed(self):
        values = TrainingConfig().to_dict()
        for name in ("epochs", "cross_attention", "validate_every"):
            del values[name]
        del values["losses"]["tdas"]
        assert TrainingConfig.from_dict(values) == TrainingConfig()


class TestEpochs:
    def test_give_the_steps_for_as_many_samples_as_there_are_pairs(self):
        config = TrainingConfig(epochs=200, batch=2, warmup_epochs=5).for_pairs(301)
        assert config.steps == 200 * 151
        assert config.warmup_steps == 5 * 151

    def test_leave_steps_alone_where_none_are_given(self):
        config = TrainingConfig(steps=77, warmup_steps=3)
        assert config.for_pairs(301) == config


def test_differences_name_settings_and_loss_weights():
    then = TrainingConfig()
    now = TrainingConfig(size="full", losses=LossWeights(tdas=2))
    assert differences(then, now) == {"size": ("tiny", "full"), "losses.tdas": (0.0, 2)}
