package org.kvm4j.kvm.doctor;

/**
 * How the tiny guest of one mode fared.
 *
 * @param mode what was tried
 * @param outcome how it ended
 * @param detail one line: which call refused with which error, or which exit came; empty if all
 *     went well
 * @param exitNanos what one exit and entry takes, in nanoseconds; 0 if that was not measured
 */
public record ModeResult(GuestMode mode, Outcome outcome, String detail, long exitNanos) {}
