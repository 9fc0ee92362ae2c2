package org.kvm4j.vmm.cli;

import java.util.Arrays;
import java.util.List;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Reads an option that has a few words as its values, each an enum's constant in the text that its
 * {@code toString} gives; capitals do not matter. (picocli's own way would take and show the
 * constants' Java names.)
 */
final class Word<E extends Enum<E>> implements ITypeConverter<E> {

  private final Class<E> type;

  Word(Class<E> type) {
    this.type = type;
  }

  @Override
  public E convert(String text) {
    for (E constant : type.getEnumConstants()) {
      if (constant.toString().equalsIgnoreCase(text)) {
        return constant;
      }
    }
    List<String> words = Arrays.stream(type.getEnumConstants()).map(Enum::toString).toList();
    throw new TypeConversionException("there is no '" + text + "'" + Nearest.hint(text, words));
  }
}
